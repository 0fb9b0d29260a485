namespace Sandbox.Vmm.Personality.Handoff;

/// <summary>
/// What attending one guest thread has been good for. Where the host's CPUs are busy with other things, an attendant
/// takes time away from the very thread that it attends: then it is tried more and more rarely.
/// </summary>
sealed class EngagementHistory
{
    /// <summary>An engagement that serves fewer calls has cost more than it saved.</summary>
    private const int WorthwhileCalls = 3;

    private const int MaximumPause = 256;

    private int _pause;
    private int _left;

    /// <summary>For each call that asks for an attendant. On the guest thread's own host thread.</summary>
    public bool IsWorthwhile()
    {
        int left = Volatile.Read(ref _left);
        if (left == 0)
            return true;
        Volatile.Write(ref _left, left - 1);
        return false;
    }

    /// <summary>An attendant has given up. Before the thread can be attended again.</summary>
    public void Ended(int servedCalls)
    {
        _pause = servedCalls >= WorthwhileCalls ? 0 : Math.Clamp(_pause * 2, 1, MaximumPause);
        Volatile.Write(ref _left, _pause);
    }
}
