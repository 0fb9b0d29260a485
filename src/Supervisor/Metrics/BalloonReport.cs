using System.Text.Json;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.Metrics;

/// <summary>
/// What is known of a machine guest's balloon, for people and programs. All but the target is the guest's word.
/// </summary>
sealed record BalloonReport(BalloonRecord Record)
{
    /// <summary>Null for a guest without a balloon.</summary>
    public static BalloonReport? Of(GuestRecord? counted) =>
        counted is GuestRecord record && GuestRecordRules.HasBalloon(record) ? new BalloonReport(record.Balloon) : null;

    /// <summary>Names and values.</summary>
    public IEnumerable<(string What, string Value)> Lines()
    {
        BalloonRecord record = Record;
        yield return ("balloon", $"{Size(record.ActualBytes)} given back, {Size(record.TargetBytes)} wanted");
        if (record.Reports == 0)
            yield break;
        yield return ("guest memory", string.Join(", ", BalloonRecord.Names
            .Select((name, number) => (name, value: record.Statistics[number]))
            .Where(one => one.name.EndsWith(BytesSuffix, StringComparison.Ordinal))
            .Select(one => $"{Size(one.value)} {one.name[..^BytesSuffix.Length].Replace('_', ' ')}")) + ", as it says");
    }

    /// <summary>A property "balloon".</summary>
    public void Write(Utf8JsonWriter json)
    {
        BalloonRecord record = Record;
        json.WriteStartObject("balloon");
        json.WriteNumber("targetBytes", record.TargetBytes);
        json.WriteNumber("actualBytes", record.ActualBytes);
        json.WriteNumber("reports", record.Reports);
        if (record.Reports > 0)
        {
            json.WriteStartObject("guest");
            for (int number = 0; number < BalloonRecord.Names.Count; number++)
                json.WriteNumber(JsonNames.OfWords(BalloonRecord.Names[number]), record.Statistics[number]);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    const string BytesSuffix = "_bytes";

    static string Size(ulong bytes) => ByteSize.Format(bytes);
}
