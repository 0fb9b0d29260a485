using Sandbox.Host;

namespace Sandbox.Vmm;

/// <summary>When each step of starting a guest was done, for the result record.</summary>
public sealed class StartPhases
{
    private readonly List<(string Name, long At)> _marks = [];
    private long _start = HostClock.MonotonicNanoseconds();

    public void Begin(long startedAt) => _start = Math.Min(startedAt, _start);

    public void Mark(string name) => _marks.Add((name, HostClock.MonotonicNanoseconds()));

    /// <summary>Name and microseconds from the command line's start to the step's end.</summary>
    public IEnumerable<(string Name, long Microseconds)> All
    {
        get
        {
            foreach ((string name, long at) in _marks)
                yield return (name, (at - _start) / 1000);
        }
    }
}
