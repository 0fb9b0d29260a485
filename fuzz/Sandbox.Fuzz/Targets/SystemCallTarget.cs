using System.Text;
using Sandbox.Vmm.Personality.SystemCalls;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The system-call layer as a whole. The input is a guest program (<see cref="CallScript"/>), or one for each of its
/// threads and processes, that runs against a fresh personality with files in memory. Whatever it does, no exception
/// escapes, nothing of the host is left open, and every thread leaves.
/// </summary>
sealed class SystemCallTarget : FuzzTarget
{
    private const long WallMilliseconds = 200;

    private readonly Waker _waker = new();
    private readonly HostLeaks _leaks = new();
    private readonly long[] _successes = new long[SystemCallTable.Limit];
    private readonly long[] _failures = new long[SystemCallTable.Limit];

    public override string Name => "syscalls";

    public override string Summary => "hostile system calls against a fresh personality";

    public override int MaximumLength => 4096;

    public override long AllocationLimit => 64 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } = CallSeeds.Dictionary();

    public override IEnumerable<(string Name, byte[] Input)> Seeds() => CallSeeds.All();

    public override bool Run(ReadOnlySpan<byte> input)
    {
        byte[][] parts = CallScript.Split(input);
        ScriptedGuest guest = null!;
        CallScript[] scripts = [.. parts.Select(part => new CallScript(part, Count))];
        ScriptedPlatform platform = new(i => i < scripts.Length ? scripts[i].Next : null, _waker);
        guest = new ScriptedGuest(platform);
        guest.Run(_waker, WallMilliseconds);
        _leaks.Check();
        return scripts[0].Calls > 0;
    }

    /// <summary>Threads count at the same time; a lost count or two does not matter.</summary>
    private void Count(ulong number, ulong result)
    {
        if (number < SystemCallTable.Limit)
            (result < unchecked((ulong)-4095L) ? _successes : _failures)[number]++;
    }

    public override string Report()
    {
        SystemCallTable table = new();
        List<string> never = [], failing = [];
        int served = 0;
        for (int number = 0; number < SystemCallTable.Limit; number++)
        {
            if (table[(ulong)number] is not { Handler: not null } entry)
                continue;
            served++;
            if (_successes[number] == 0)
                (_failures[number] == 0 ? never : failing).Add(entry.Name);
        }
        StringBuilder text = new();
        text.AppendLine($"{served} calls are served; {served - never.Count - failing.Count} succeeded at least once");
        text.AppendLine($"made, but never with success: {string.Join(' ', failing)}");
        text.Append($"never made, or never returned from: {string.Join(' ', never)}");
        return text.ToString();
    }
}
