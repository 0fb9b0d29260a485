using System.Text.Json;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;

namespace Sandbox.Supervisor.Metrics;

/// <summary>What is known of a machine guest's balloon, for people and programs. All but the target is the guest's word.</summary>
sealed record BalloonReport(BalloonRecord Record)
{
    /// <summary>Null for a guest without a balloon.</summary>
    public static BalloonReport? Of(GuestRecord? counted) =>
        counted is GuestRecord record && GuestRecordRules.HasBalloon(record) ? new BalloonReport(record.Balloon) : null;

    /// <summary>Names and values.</summary>
    public IEnumerable<(string What, string Value)> Lines()
    {
        yield return ("balloon", $"{Size(Record.ActualBytes)} given back, {Size(Record.TargetBytes)} wanted");
        if (Record.Reports == 0)
            yield break;
        yield return ("guest memory", string.Join(", ", BalloonRecord.Names
            .Select((name, number) => (name, value: Record.Statistics[number]))
            .Where(one => one.name.EndsWith(BytesSuffix, StringComparison.Ordinal))
            .Select(one => $"{Size(one.value)} {one.name[..^BytesSuffix.Length].Replace('_', ' ')}")) + ", as it says");
    }

    /// <summary>A property "balloon".</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject("balloon");
        json.WriteNumber("targetBytes", Record.TargetBytes);
        json.WriteNumber("actualBytes", Record.ActualBytes);
        json.WriteNumber("reports", Record.Reports);
        if (Record.Reports > 0)
        {
            json.WriteStartObject("guest");
            for (int number = 0; number < BalloonRecord.Names.Count; number++)
                json.WriteNumber(JsonNames.OfWords(BalloonRecord.Names[number]), Record.Statistics[number]);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    const string BytesSuffix = "_bytes";

    static string Size(ulong bytes) => ByteSize.Format(bytes);
}
