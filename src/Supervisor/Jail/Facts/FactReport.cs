using System.Text;
using System.Text.Json;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>A comparison for people and for programs.</summary>
static class FactReport
{
    const int NameWidth = 26;
    const int VerdictWidth = 16;

    public static string WordOf(FactVerdict verdict) => verdict switch
    {
        FactVerdict.Holds => "holds",
        FactVerdict.Missing => "missing",
        FactVerdict.Weaker => "weaker",
        _ => "cannot be read",
    };

    public static string WordOf(FactSource source) => source switch
    {
        FactSource.Read => "read",
        FactSource.Reported => "reported",
        _ => "built",
    };

    /// <summary>
    /// One line each; what does not hold has its expectation below it, and the reason as far as it is known.
    /// </summary>
    public static string Text(IReadOnlyList<FactLine> lines)
    {
        var text = new StringBuilder();
        foreach (FactLine line in lines)
        {
            string source = line.Source == FactSource.Read ? "" : $" ({WordOf(line.Source)})";
            text.Append(WordOf(line.Verdict).PadRight(VerdictWidth)).Append(line.Name.PadRight(NameWidth))
                .Append($" {line.Found}{source}\n");
            if (line.Verdict == FactVerdict.Holds)
                continue;
            text.Append(' ', VerdictWidth + NameWidth + 1).Append($"expected: {line.Expected}\n");
            if (line.Advice is not null)
                text.Append(' ', VerdictWidth + NameWidth + 1).Append($"{line.Advice}\n");
        }

        return text.ToString();
    }

    /// <summary>A property of an object that has been begun.</summary>
    public static void WriteLines(Utf8JsonWriter json, string property, IReadOnlyList<FactLine> lines)
    {
        json.WriteStartArray(property);
        foreach (FactLine line in lines)
        {
            json.WriteStartObject();
            json.WriteString("wall", line.Name);
            json.WriteString("expected", line.Expected);
            json.WriteString("found", line.Found);
            json.WriteString("verdict", WordOf(line.Verdict));
            json.WriteString("source", WordOf(line.Source));
            if (line.Advice is not null)
                json.WriteString("advice", line.Advice);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
