using System.Globalization;
using System.Text;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary><c>sandbox ps</c>. Names and commands are somebody else's text.</summary>
static class PsTool
{
    const int CommandColumn = 80;

    public static int Run(StateOwner owner, bool all, bool json)
    {
        ListedSandbox[] shown =
        [
            .. StateList.Read(owner).Where(one => all || one.IsAlive)
                .OrderBy(one => one.Record?.StartedAt ?? long.MaxValue).ThenBy(one => one.Id.Value),
        ];
        string text = json ? Json(shown) : Table(shown, HostClock.RealtimeNanoseconds() / 1_000_000);
        return StandardStreams.WriteOutput(text) ? 0 : ExitStatus.SandboxFailed;
    }

    /// <param name="now">Milliseconds since 1970.</param>
    internal static string Table(IReadOnlyList<ListedSandbox> shown, long now)
    {
        List<string[]> rows = [["ID", "NAME", "STATE", "AGE", "PID", "COMMAND"], .. shown.Select(one => Row(one, now))];
        int[] widths = [.. Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length))];
        var text = new StringBuilder();
        foreach (string[] row in rows)
            text.Append(string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd())
                .Append('\n');
        return text.ToString();
    }

    static string[] Row(ListedSandbox one, long now) =>
    [
        one.Id.ToString(), one.Record?.Name ?? "-", State(one),
        one.Record is null ? "-" : Age(now - one.Record.StartedAt),
        one is { IsAlive: true, Record: not null, Doubt: null }
            ? one.Record.Supervisor.ToString(CultureInfo.InvariantCulture)
            : "-",
        one.Record is null ? "-" : Quote.Printable(string.Join(' ', one.Record.Command), CommandColumn),
    ];

    /// <summary>In a word or two.</summary>
    public static string State(ListedSandbox one) =>
        one.Record?.End is RecordedEnd end ? $"exited {end.Status}" : Word(one.State);

    internal static string Word(SandboxState state) => state switch
    {
        SandboxState.Starting => "starting",
        SandboxState.Running => "running",
        SandboxState.Paused => "paused",
        SandboxState.Exited => "exited",
        _ => "lost",
    };

    /// <summary>In its largest unit.</summary>
    internal static string Age(long milliseconds)
    {
        long seconds = Math.Max(milliseconds, 0) / 1000;
        return seconds switch
        {
            < 60 => $"{seconds}s",
            < 3600 => $"{seconds / 60}m",
            < 86400 => $"{seconds / 3600}h",
            _ => $"{seconds / 86400}d",
        };
    }

    internal static string Json(IReadOnlyList<ListedSandbox> shown) => JsonText.Write(json =>
    {
        json.WriteStartArray();
        foreach (ListedSandbox one in shown)
        {
            json.WriteStartObject();
            WriteSummary(json, one);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    /// <summary>What every listing says of a sandbox.</summary>
    public static void WriteSummary(Utf8JsonWriter json, ListedSandbox one)
    {
        json.WriteString("id", one.Id.ToString());
        json.WriteString("state", Word(one.State));
        if (one.Record is not SandboxRecord record)
            return;
        json.WriteString("name", record.Name);
        json.WriteString("started", Time(record.StartedAt));
        json.WriteStartArray("command");
        foreach (string argument in record.Command)
            json.WriteStringValue(argument);
        json.WriteEndArray();
        json.WriteString("policy", record.Policy);
        if (one.Doubt is not null)
            json.WriteString("doubt", one.Doubt);
        else if (one.IsAlive)
        {
            json.WriteNumber("supervisorPid", record.Supervisor);
            json.WriteNumber("vmmPid", record.Vmm);
        }

        json.WriteBoolean("detached", record.IsDetached);
        if (record.End is not RecordedEnd end)
            return;
        json.WriteString("ended", Time(end.At));
        json.WriteNumber("exitStatus", end.Status);
        json.WriteString("because", end.Line);
    }

    /// <summary>As RFC 3339 has it.</summary>
    public static string Time(long milliseconds) => DateTimeOffset.UnixEpoch.AddMilliseconds(
        Math.Clamp(milliseconds, 0, DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()))
        .ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}
