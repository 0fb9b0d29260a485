using Sandbox.Host;
using Sandbox.Policy.Contract;

namespace Sandbox.Vmm;

/// <summary>When each step of starting a guest was done, for the result record.</summary>
public sealed class StartPhases
{
    private readonly long[] _at = new long[(int)StartPhase.Program + 1];
    private long _start = HostClock.MonotonicNanoseconds();

    public void Begin(long startedAt) => _start = Math.Min(startedAt, _start);

    public void Mark(StartPhase phase) => _at[(int)phase] = HostClock.MonotonicNanoseconds();

    /// <summary>Nanoseconds from the command line's start to the step's end; 0 for one that was not taken.</summary>
    public long this[StartPhase phase] => _at[(int)phase] == 0 ? 0 : _at[(int)phase] - _start;
}
