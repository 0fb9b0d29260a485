namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>How many bytes the guest may still write to its standard output and error together.</summary>
/// <param name="limit">Bytes; 0 for no limit.</param>
/// <param name="onExceeded">Called once, when the guest tries to write more; ends the guest.</param>
public sealed class OutputLimit(long limit, Action onExceeded)
{
    private long _written;
    private int _exceeded;

    public long Written => Interlocked.Read(ref _written);

    /// <summary>Sets bytes aside for a write that is about to be tried.</summary>
    /// <returns>How many may be written; fewer than wanted only when the limit is reached.</returns>
    public int Take(int wanted)
    {
        long before = Interlocked.Add(ref _written, wanted) - wanted;
        if (limit == 0 || before + wanted <= limit)
            return wanted;
        int granted = (int)Math.Max(0, limit - before);
        Interlocked.Add(ref _written, granted - wanted);
        return granted;
    }

    /// <summary>Bytes taken but not written after all.</summary>
    public void GiveBack(int count) => Interlocked.Add(ref _written, -count);

    /// <summary>The guest wanted to write more than it may.</summary>
    public void Exceeded()
    {
        if (Interlocked.Exchange(ref _exceeded, 1) == 0)
            onExceeded();
    }
}
