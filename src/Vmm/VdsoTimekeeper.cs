using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Personality.Time;

namespace Sandbox.Vmm;

/// <summary>Keeps the vDSO's clocks true while the guest runs.</summary>
sealed class VdsoTimekeeper : ITimerCallback, IDisposable
{
    /// <summary>
    /// Guests run on the host's own counter: KVM gives a first vCPU an offset that hardware adds, and paravirtual KVM
    /// adds none, so the platform sets it to 0 on both.
    /// </summary>
    private const ulong GuestOffset = 0;

    private readonly LinuxPersonality _personality;
    private readonly TscSampler _sampler = new(GuestOffset);
    private readonly VdsoClock _clock;

    private VdsoTimekeeper(LinuxPersonality personality, int tscKilohertz)
    {
        _personality = personality;
        _clock = new VdsoClock(personality.Vdso.Page, TscSampler.IsInvariant ? tscKilohertz : 0);
        _clock.Start(_sampler.Take());
    }

    public static VdsoTimekeeper Start(LinuxPersonality personality, int tscKilohertz)
    {
        VdsoTimekeeper keeper = new(personality, tscKilohertz);
        keeper.Schedule();
        return keeper;
    }

    public void OnTimer()
    {
        _clock.Update(_sampler.Take());
        Schedule();
    }

    private void Schedule()
    {
        if (_clock.IsRunning)
            _personality.Timers.Schedule(_personality.Clock.Monotonic + VdsoClock.UpdateIntervalNanoseconds, this);
    }

    public void Dispose() => _sampler.Dispose();
}
