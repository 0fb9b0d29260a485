using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Waiting;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Personality.Handoff;

/// <summary>A host thread that serves the calls of one guest thread at a time while that stays in the guest.</summary>
sealed class Attendant(Attendance attendance, LinuxPersonality personality)
{
    /// <summary>As of the threads that run guest threads: the same handlers run here.</summary>
    private const int StackBytes = 512 << 10;

    /// <summary>Looks between two looks at the clock.</summary>
    private const int LooksPerCheck = 32;

    /// <summary>CPU time is charged to the guest thread at least so often, in nanoseconds.</summary>
    private const long ChargeNanoseconds = 1_000_000;

    /// <summary>
    /// A processor that is out of the guest for so long waits for something else, or for the CPU that this thread has.
    /// </summary>
    private const long OutsideNanoseconds = 40_000;

    private sealed record Engagement(GuestThread Thread, CallExchange Exchange);

    private readonly Parker _parker = new();
    private Engagement? _engagement;

    public bool IsFree => Volatile.Read(ref _engagement) is null;

    public void Start() =>
        ThreadFilter.Start("attendant", ThreadRole.Guest, StackBytes, Work);

    /// <summary>Attends the thread from now on, until its calls become rare. False when engaged already.</summary>
    public bool TryEngage(GuestThread thread, CallExchange exchange)
    {
        // Before the engagement, whose end takes it back.
        thread.Attendant = this;
        if (Interlocked.CompareExchange(ref _engagement, new Engagement(thread, exchange), null) is not null)
        {
            thread.Attendant = null;
            return false;
        }
        _parker.Unpark();
        return true;
    }

    private void Work()
    {
        while (true)
        {
            Engagement? engagement = Volatile.Read(ref _engagement);
            if (engagement is null)
            {
                _parker.Park(Parker.Forever);
                continue;
            }
            attendance.CountAttending(+1);
            try
            {
                Attend(engagement.Thread, engagement.Exchange);
            }
            catch (Exception bug)
            {
                // As for a guest thread's own host thread: a mistake of ours ends the guest.
                personality.Fail(VmmFailure.InternalError, 0, bug.ToString());
                engagement.Exchange.HandBack();
            }
            attendance.CountAttending(-1);
            engagement.Thread.Attendant = null;
            Volatile.Write(ref _engagement, null);
        }
    }

    private void Attend(GuestThread thread, CallExchange exchange)
    {
        long cpuAt = HostClock.ThreadCpuNanoseconds();
        long now = Attendance.Now, chargedAt = now, openAt = now;
        int served = 0, looks = 0;
        exchange.Attend(true);
        while (true)
        {
            if (thread.TryServeIn(exchange))
                served++;
            Thread.SpinWait(1);
            if (++looks % LooksPerCheck != 0)
                continue;
            now = Attendance.Now;
            exchange.Attend(true);
            if (now - chargedAt > ChargeNanoseconds)
            {
                Charge(thread, ref cpuAt);
                chargedAt = now;
            }
            if (exchange.IsOpen)
                openAt = now;
            long lastCallAt = thread.LastCallAt;
            if (now - lastCallAt > Attendance.FrequentNanoseconds || !attendance.HasRoom
                || now - Math.Max(openAt, lastCallAt) > OutsideNanoseconds)
                break;
        }
        exchange.Attend(false);
        // A call that came before the gate was told.
        if (thread.TryServeIn(exchange))
            served++;
        Charge(thread, ref cpuAt);
        thread.Engagements.Ended(served);
    }

    private static void Charge(GuestThread thread, ref long cpuAt)
    {
        long cpu = HostClock.ThreadCpuNanoseconds();
        thread.ChargeCpu(cpu - cpuAt);
        cpuAt = cpu;
    }
}
