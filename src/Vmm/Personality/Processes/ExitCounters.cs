using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>Counts of exits and system calls, and times of exits, kept by each host thread for itself and summed at the end.</summary>
public sealed class ExitCounters
{
    public const int Kinds = (int)GuestExitKind.Failed + 1;

    private readonly long[] _kinds = new long[Kinds];
    private readonly long[] _calls = new long[SystemCallTable.Limit];
    private readonly LatencyMetric[] _times = [.. Enumerable.Range(0, Kinds).Select(_ => new LatencyMetric())];
    private long[]? _unknown;

    /// <summary>Calls with numbers that no Linux has.</summary>
    public long OutOfRange { get; private set; }

    public ReadOnlySpan<long> ExitsByKind => _kinds;

    /// <summary>Takes the times of all exits of a kind into a record.</summary>
    internal void AddTimes(GuestExitKind kind, ref LatencyRecord to) => to.Add(_times[(int)kind].Read());

    /// <summary>Calls by number, those that the personality does not serve included.</summary>
    public ReadOnlySpan<long> Calls => _calls;

    /// <summary>Calls that were answered with ENOSYS because nothing serves them, by number.</summary>
    public ReadOnlySpan<long> UnknownCalls => _unknown ?? s_none;

    private static readonly long[] s_none = new long[SystemCallTable.Limit];

    /// <summary>Calls that were served without an exit.</summary>
    public long HandedOver { get; private set; }

    internal void Count(GuestExitKind kind) => _kinds[(int)kind]++;

    /// <summary>An exit that was counted has been served.</summary>
    internal void Time(GuestExitKind kind, long nanoseconds) => _times[(int)kind].Record(nanoseconds);

    internal void CountHandedOver() => HandedOver++;

    internal void CountCall(uint number, bool known)
    {
        if (number >= SystemCallTable.Limit)
        {
            OutOfRange++;
            return;
        }
        _calls[number]++;
        if (!known)
            (_unknown ??= new long[SystemCallTable.Limit])[number]++;
    }

    /// <summary>Takes a call back that is going to be counted again.</summary>
    internal void Uncount(uint number)
    {
        if (number < SystemCallTable.Limit)
            _calls[number]--;
    }

    /// <summary>Adds another thread's counts. A thread still counting may be a few behind.</summary>
    internal void Add(ExitCounters other)
    {
        for (int i = 0; i < _kinds.Length; i++)
            _kinds[i] += other._kinds[i];
        for (int i = 0; i < _calls.Length; i++)
            _calls[i] += other._calls[i];
        if (Volatile.Read(ref other._unknown) is { } unknown)
        {
            _unknown ??= new long[SystemCallTable.Limit];
            for (int i = 0; i < unknown.Length; i++)
                _unknown[i] += unknown[i];
        }
        OutOfRange += other.OutOfRange;
        HandedOver += other.HandedOver;
    }
}
