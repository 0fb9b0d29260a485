using System.Collections.Concurrent;
using Sandbox.Vmm.Personality;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// Cuts waits short: a scripted guest may have nobody who would wake it, so a thread that sleeps for a while is told
/// that a signal has come, as often as it takes.
/// </summary>
sealed class Waker
{
    private readonly ConcurrentDictionary<GuestThread, byte> _watched = new();

    public Waker() => new Thread(Loop, 64 << 10) { IsBackground = true, Name = "waker" }.Start();

    public void Watch(GuestThread thread) => _watched.TryAdd(thread, 0);

    /// <summary>The guest is gone.</summary>
    public void Forget() => _watched.Clear();

    private void Loop()
    {
        while (true)
        {
            Thread.Sleep(1);
            foreach (GuestThread thread in _watched.Keys)
            {
                if (!thread.Parker.IsParked)
                    continue;
                thread.SetWork(ThreadWork.Signal);
                thread.Parker.Unpark();
            }
        }
    }
}
