using System.Globalization;
using System.Text.Json;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Audit;

/// <summary>A log's line as it is shown. Nothing of it is proved.</summary>
/// <param name="Kind">start, walls, end, decision, dropped, misbehaved or repaired; or whatever the line says.</param>
/// <param name="Allowed">Of a decision; null for other lines.</param>
/// <param name="Text">In one line, without control characters.</param>
sealed record LogEntry(DateTimeOffset At, string Kind, string Sandbox, bool? Allowed, string Text)
{
    /// <summary>Reads a line; null when it is none of a log.</summary>
    public static LogEntry? Read(ReadOnlySpan<byte> line)
    {
        try
        {
            var reader = new Utf8JsonReader(line, new JsonReaderOptions { MaxDepth = 8 });
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            return Read(document.RootElement);
        }
        catch (Exception bad) when (bad is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string with half of a surrogate pair.
            return null;
        }
    }

    /// <summary>As one row of a table.</summary>
    public string Row() => string.Create(
        CultureInfo.InvariantCulture, $"{At.UtcDateTime:yyyy-MM-dd HH:mm:ss.fff}  {Sandbox,-16}  {Text}\n");

    static LogEntry? Read(JsonElement line)
    {
        if (line.ValueKind != JsonValueKind.Object || Get(line, "@t") is not string time
            || !DateTimeOffset.TryParse(
                time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset at))
            return null;
        string kind = Get(line, "Kind") ?? "";
        bool? allowed = kind == "decision" && line.TryGetProperty(nameof(Allowed), out JsonElement value)
            ? value.ValueKind == JsonValueKind.True
            : null;
        return new LogEntry(at, Quote.Printable(kind), Quote.Printable(Get(line, "Sandbox") ?? ""), allowed,
            Quote.Printable(Describe(kind, line)));
    }

    static string Describe(string kind, JsonElement line) => kind switch
    {
        "decision" => $"{Get(line, "Result"),-14}  {Get(line, "Request")}{Rule(line)}",
        "start" => $"{"start",-14}  {Get(line, "Program")} under "
            + $"{Get(line, "Policy")}{(line.TryGetProperty("Learning", out _) ? ", learning" : "")}",
        "end" => $"{"end",-14}  {Get(line, "Cause")} (status {Get(line, "Status")}, {Get(line, "Decisions")} decisions"
            + $"{(Get(line, "Complete") == "true" ? "" : ", incomplete")})",
        "walls" => $"{"walls",-14}  {Get(line, "Holding")} of {Get(line, "Checked")} hold{Faults(line)}",
        "dropped" => $"{"dropped",-14}  {Get(line, "Count")} records",
        "misbehaved" => $"{"misbehaved",-14}  the VMM {Get(line, "Fault")}",
        "repaired" => $"{"repaired",-14}  {Get(line, "Recovered")} lines kept, {Get(line, "Missing")} missing, "
            + $"{Get(line, "TornBytes")} bytes cut off",
        _ => kind,
    };

    static string Faults(JsonElement line) =>
        line.TryGetProperty("Walls", out JsonElement walls) && walls.ValueKind == JsonValueKind.Array
        ? string.Concat(walls.EnumerateArray()
            .Where(wall => wall.ValueKind == JsonValueKind.Object && Get(wall, "Verdict") != "holds")
            .Select(wall => $"; {Get(wall, "Wall")} {Get(wall, "Verdict")}"))
        : "";

    static string Rule(JsonElement line)
    {
        if (Get(line, "Rule") is not string rule)
            return Get(line, "Allowed") == "false" ? "  [no rule allows it]" : "";
        return $"  [{rule}, {Get(line, "Place")}{(Get(line, "Because") is string because ? ": " + because : "")}]";
    }

    static string? Get(JsonElement line, string name) => line.TryGetProperty(name, out JsonElement value)
        ? value.ValueKind switch
        {
            JsonValueKind.String => value.GetString(),
            JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False => value.GetRawText(),
            _ => null,
        }
        : null;
}
