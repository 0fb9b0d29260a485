using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Personality.Time;
using Sandbox.Vmm.Platforms.Kvm;

namespace Sandbox.Vmm;

/// <summary>Keeps the vDSO's clocks true while the guest runs.</summary>
sealed class VdsoTimekeeper : ITimerCallback
{
    /// <summary>The platform asks KVM to add no offset to the host's counter, and reads the guest's to make sure.</summary>
    public const ulong GuestOffset = 0;

    /// <summary>
    /// The platform's reading is this close when the counters are one; where KVM gave the guest a counter of its own,
    /// they differ by the host's uptime.
    /// </summary>
    private const double ToleranceNanoseconds = 20e6;

    private readonly LinuxPersonality _personality;
    private readonly TscSampler _sampler;
    private readonly VdsoClock _clock;

    private VdsoTimekeeper(
        LinuxPersonality personality, TscSampler sampler, int tscKilohertz, (ulong Tsc, long At) guest)
    {
        _personality = personality;
        _sampler = sampler;
        ClockSample now = _sampler.Take();
        bool usable = tscKilohertz > 0 && TscSampler.IsInvariant && IsSameCounter(now, tscKilohertz, guest);
        _clock = new VdsoClock(personality.Vdso.Page, usable ? tscKilohertz : 0);
        _clock.Start(now);
    }

    private static bool IsSameCounter(in ClockSample now, int tscKilohertz, (ulong Tsc, long At) guest)
    {
        double cyclesLater = unchecked((long)(now.Tsc - guest.Tsc));
        double nanosecondsLater = cyclesLater * 1e6 / tscKilohertz;
        return Math.Abs(nanosecondsLater - (now.Monotonic - guest.At)) < ToleranceNanoseconds;
    }

    /// <param name="sampler">Of <see cref="GuestOffset"/>; used until the process ends.</param>
    public static void Start(LinuxPersonality personality, TscSampler sampler, KvmPlatform platform) =>
        new VdsoTimekeeper(personality, sampler, platform.TscKilohertz, platform.TscReading).Schedule();

    public void OnTimer()
    {
        _clock.Update(_sampler.Take(), _sampler.ReadGuestTsc);
        Schedule();
    }

    private void Schedule()
    {
        if (_clock.IsRunning)
            _personality.Timers.Schedule(_personality.Clock.Monotonic + VdsoClock.UpdateIntervalNanoseconds, this);
    }
}
