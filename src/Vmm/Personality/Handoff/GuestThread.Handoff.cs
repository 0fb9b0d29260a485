using Sandbox.Vmm.Personality.Handoff;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Personality;

// Calls of this thread that an attendant serves while the thread's processor waits inside the guest.
public sealed partial class GuestThread
{
    private bool _mayHandBack;

    /// <summary>When the last call was answered, in <see cref="Attendance.Now"/>'s nanoseconds.</summary>
    internal long LastCallAt { get; set; }

    internal Attendant? Attendant
    {
        get => Volatile.Read(ref _attendant);
        set => Volatile.Write(ref _attendant, value);
    }

    private Attendant? _attendant;

    internal EngagementHistory Engagements { get; } = new();

    /// <summary>Whether a call may go to sleep now.</summary>
    /// <param name="interrupted">What the call returns when a signal wants attention.</param>
    /// <returns>0, or the code of <see cref="Restart"/> to return instead of sleeping.</returns>
    internal long MayWait(long interrupted = Restart.System)
    {
        if (HasPendingSignal)
            return interrupted;
        return _mayHandBack ? Restart.AtExit : 0;
    }

    /// <summary>The present call has done something that cannot be done twice: it is finished where it was begun.</summary>
    internal void StayHere() => _mayHandBack = false;

    /// <summary>Serves the call that waits in the exchange, if there is one. On the attendant's host thread.</summary>
    internal bool TryServeIn(CallExchange exchange)
    {
        if (!exchange.TryTake(out HandedCall call))
            return false;
        uint number = (uint)call.Number;
        if (Personality.SystemCalls[number].AtExit)
        {
            exchange.HandBack();
            return true;
        }
        _current = this;
        _mayHandBack = true;
        long result = Dispatch(number, new(call.A0, call.A1, call.A2, call.A3, call.A4, call.A5));
        _mayHandBack = false;
        _current = null;
        if (result == Restart.AtExit)
        {
            Counters.Uncount(number);
            exchange.HandBack();
            return true;
        }
        Counters.CountHandedOver();
        LastCallAt = Attendance.Now;
        if (HasPendingSignal || Restart.IsRestart(result) || result == Restart.KeepRegisters || !Memory.IsCurrent(Cpu))
            exchange.AnswerOutside(number, result);
        else
            exchange.Answer(number, result);
        return true;
    }
}
