using Sandbox.Vmm.Personality;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Cuts waits short: a scripted guest has nobody who would wake it, so a thread that sleeps is told that a signal has
/// come, as often as it takes.
/// </summary>
sealed class Waker
{
    private volatile GuestThread? _watched;

    public Waker() => new Thread(Loop, 64 << 10) { IsBackground = true, Name = "waker" }.Start();

    public GuestThread? Watched
    {
        set => _watched = value;
    }

    private void Loop()
    {
        while (true)
        {
            Thread.Sleep(1);
            if (_watched is not { Parker.IsParked: true } thread)
                continue;
            thread.SetWork(ThreadWork.Signal);
            thread.Parker.Unpark();
        }
    }
}
