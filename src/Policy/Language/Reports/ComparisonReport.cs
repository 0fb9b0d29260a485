using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>How two policies differ, for people and programs.</summary>
public static class ComparisonReport
{
    public static string Human(PolicyComparison comparison)
    {
        var text = new StringBuilder();
        foreach (Difference difference in comparison.Differences)
        {
            string what = difference.Change switch
                { Change.Allowed => "+ allowed  ", Change.Denied => "- denied   ", _ => "~ different " };
            text.Append($"{what}{difference.Witness}\n");
            if (difference.OldRule is SourceSpan old)
                text.Append($"    before: {old}\n");
            if (difference.NewRule is SourceSpan @new)
                text.Append($"    after:  {@new}\n");
        }

        if (comparison.IsEqual)
            text.Append("the policies allow the same\n");
        if (!comparison.IsExact)
            text.Append("a part was too large, so that there may be more differences\n");
        return text.ToString();
    }

    public static string Json(PolicyComparison comparison) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteBoolean("exact", comparison.IsExact);
        json.WriteStartArray("differences");
        foreach (Difference difference in comparison.Differences)
        {
            json.WriteStartObject();
            json.WriteString("change", difference.Change.ToString().ToLowerInvariant());
            json.WriteString("witness", difference.Witness);
            json.WriteSpan("before", difference.OldRule);
            json.WriteSpan("after", difference.NewRule);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    });
}
