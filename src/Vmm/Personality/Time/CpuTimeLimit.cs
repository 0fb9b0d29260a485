using Sandbox.Policy.Contract;

namespace Sandbox.Vmm.Personality.Time;

/// <summary>--cpu-time: ends the guest when all its threads together have used so much.</summary>
sealed class CpuTimeLimit(LinuxPersonality personality, long milliseconds) : CpuAlarm(personality)
{
    protected override long Clock => Personality.CpuNanoseconds;

    public void Start() => Set(milliseconds * 1_000_000);

    protected override void GoOff() => Personality.End(EndCause.CpuTimeLimit, 0, milliseconds);
}

/// <summary>--timeout: ends the guest after so much wall-clock time.</summary>
sealed class WallTimeLimit(LinuxPersonality personality, long milliseconds) : ITimerCallback
{
    public void Start() => personality.Timers.Schedule(personality.Clock.After(milliseconds * 1_000_000), this);

    void ITimerCallback.OnTimer() => personality.End(EndCause.WallTimeLimit, 0, milliseconds);
}
