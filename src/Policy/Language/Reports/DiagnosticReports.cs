using System.Text;
using System.Text.Json;

namespace Sandbox.Policy.Language;

/// <summary>Findings for people, for programs, and as SARIF 2.1.0 for code-scanning services.</summary>
public static class DiagnosticReports
{
    public static string Human(IReadOnlyList<Diagnostic> findings, int dropped)
    {
        var text = new StringBuilder();
        foreach (Diagnostic found in findings)
            DiagnosticText.Write(text, found);
        if (dropped > 0)
            text.Append($"{dropped} more findings are not shown\n");
        return text.ToString();
    }

    public static string Json(IReadOnlyList<Diagnostic> findings, int dropped) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteStartArray("findings");
        foreach (Diagnostic found in findings)
        {
            json.WriteStartObject();
            json.WriteString("rule", found.Kind.Name);
            json.WriteString("severity", Level(found.Kind));
            json.WriteSpan("place", found.Span);
            json.WriteString("message", found.Message);
            json.WriteString("advice", found.Advice);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNumber("dropped", dropped);
        json.WriteEndObject();
    });

    static string Level(DiagnosticKind kind) => kind.Severity == Severity.Error ? "error" : "warning";

    /// <param name="version">This program's.</param>
    public static string Sarif(IReadOnlyList<Diagnostic> findings, string version) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteString("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
        json.WriteString("version", "2.1.0");
        json.WriteStartArray("runs");
        json.WriteStartObject();
        WriteTool(json, version);
        json.WriteString("columnKind", "utf16CodeUnits");
        json.WriteStartArray("results");
        foreach (Diagnostic found in findings)
            WriteResult(json, found);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    });

    static void WriteTool(Utf8JsonWriter json, string version)
    {
        json.WriteStartObject("tool");
        json.WriteStartObject("driver");
        json.WriteString("name", "sandbox policy check");
        json.WriteString("version", version);
        json.WriteStartArray("rules");
        foreach (DiagnosticKind kind in DiagnosticKind.All)
        {
            json.WriteStartObject();
            json.WriteString("id", kind.Name);
            json.WriteStartObject("shortDescription");
            json.WriteString("text", kind.Summary);
            json.WriteEndObject();
            json.WriteStartObject("defaultConfiguration");
            json.WriteString("level", Level(kind));
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    static void WriteResult(Utf8JsonWriter json, Diagnostic found)
    {
        json.WriteStartObject();
        json.WriteString("ruleId", found.Kind.Name);
        json.WriteNumber("ruleIndex", DiagnosticKind.All.ToList().IndexOf(found.Kind));
        json.WriteString("level", Level(found.Kind));
        json.WriteStartObject("message");
        json.WriteString("text", found.Advice is null ? $"{found.Message}." : $"{found.Message}; {found.Advice}.");
        json.WriteEndObject();
        json.WriteStartArray("locations");
        json.WriteStartObject();
        json.WriteStartObject("physicalLocation");
        json.WriteStartObject("artifactLocation");
        json.WriteString("uri", Uri.EscapeDataString(found.Span.Text.Name).Replace("%2F", "/", StringComparison.Ordinal)
            .Replace("%3A", ":", StringComparison.Ordinal));
        json.WriteEndObject();
        json.WriteStartObject("region");
        json.WriteNumber("startLine", found.Span.Line);
        json.WriteNumber("startColumn", found.Span.Column);
        json.WriteNumber("endColumn", found.Span.Column + found.Span.Length);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
