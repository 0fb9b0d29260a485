using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>An exposure score, worst first.</summary>
public static class ExposureReport
{
    public static string Human(string name, Exposure exposure)
    {
        var text = new StringBuilder($"{name}: {exposure.Score} of 100\n");
        foreach (ExposureItem item in exposure.Items.Where(item => item.Badness > 0))
            text.Append($"  {item.Badness * item.Weight,4} = {item.Badness,2} x {item.Weight,2}  {item.Description} "
                + $"[{item.Name}]\n");
        return text.Append(Exposure.Caveat).Append('\n').ToString();
    }

    public static string Json(string name, Exposure exposure) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteString("policy", name);
        json.WriteNumber("score", exposure.Score);
        json.WriteStartArray("items");
        foreach (ExposureItem item in exposure.Items)
        {
            json.WriteStartObject();
            json.WriteString("name", item.Name);
            json.WriteString("description", item.Description);
            json.WriteNumber("badness", item.Badness);
            json.WriteNumber("weight", item.Weight);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteString("caveat", Exposure.Caveat);
        json.WriteEndObject();
    });
}
