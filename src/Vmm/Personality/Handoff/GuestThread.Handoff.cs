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

    /// <summary>The call that was handed back and is about to come again; <see cref="NoCall"/> for none.</summary>
    private uint _handedBackNumber = NoCall;

    private SystemCallArguments _handedBackArguments;

    private const uint NoCall = uint.MaxValue;

    /// <summary>Whether this is a call that was handed back: its decision has been recorded, and it is one call.</summary>
    private bool IsRecordedAlready(uint number, in SystemCallArguments a)
    {
        if (number != _handedBackNumber || number == NoCall)
            return false;
        _handedBackNumber = NoCall;
        SystemCallArguments b = _handedBackArguments;
        return a.A0 == b.A0 && a.A1 == b.A1 && a.A2 == b.A2 && a.A3 == b.A3 && a.A4 == b.A4 && a.A5 == b.A5;
    }

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
            _handedBackNumber = number;
            _handedBackArguments = new(call.A0, call.A1, call.A2, call.A3, call.A4, call.A5);
            Counters.Uncount(number);
            exchange.HandBack();
            return true;
        }
        Counters.CountHandedOver();
        LastCallAt = Attendance.Now;
        if (HasPendingSignal || _restoreMask || Restart.IsRestart(result) || result == Restart.KeepRegisters
            || !Memory.IsCurrent(Cpu))
            exchange.AnswerOutside(number, result);
        else
            exchange.Answer(number, result);
        return true;
    }
}
