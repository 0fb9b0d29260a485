using Sandbox.Host;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// Work between two stretches of user code: exits, stops, signals, and calls to be repeated.
public sealed partial class GuestThread
{
    private int _work;

    /// <summary>
    /// A signal, stop or exit asks for attention: blocking calls give up with a code of <see cref="Restart"/>. Set
    /// before <see cref="Waiting.Parker.Unpark"/>, so that a loop of "check this, then park" misses nothing.
    /// </summary>
    public bool HasPendingSignal => Volatile.Read(ref _work) != 0;

    /// <summary>The thread has to end: for the few waits that only this may cut short.</summary>
    internal bool MustExit => (Volatile.Read(ref _work) & (int)ThreadWork.Exit) != 0;

    internal void SetWork(ThreadWork work) => Interlocked.Or(ref _work, (int)work);

    internal void ClearWork(ThreadWork work) => Interlocked.And(ref _work, ~(int)work);

    /// <summary>Asked to stop by the stop in progress; guarded by TaskLock.</summary>
    internal bool StopAsked { get; set; }

    /// <summary>Has stopped, or counted as such; guarded by TaskLock.</summary>
    internal bool StopCounted { get; set; }

    /// <summary>The child that vfork(2) waits for has let go of the memory.</summary>
    internal bool VforkDone
    {
        get => Volatile.Read(ref _vforkDone);
        set => Volatile.Write(ref _vforkDone, value);
    }

    private bool _vforkDone;

    /// <summary>The result of a call that a signal cut short, as a code of <see cref="Restart"/>; 0 for none.</summary>
    private long _interruptedResult;

    /// <summary>The number that the call came with: RAX for a repeated call.</summary>
    private ulong _interruptedNumber;

    /// <summary>What restart_syscall(2) continues, set by a call that returned <see cref="Restart.Block"/>.</summary>
    internal Func<GuestThread, long>? RestartFunction { get; set; }

    /// <summary>State of <see cref="RestartFunction"/>, as the call that set it defines.</summary>
    internal RestartState RestartState;

    /// <summary>Runs until the thread may enter user mode. False when it has to end instead.</summary>
    private bool AttendToWork()
    {
        while (true)
        {
            ThreadWork work = (ThreadWork)Volatile.Read(ref _work);
            if ((work & ThreadWork.Exit) != 0)
                return false;
            if ((work & ThreadWork.Stop) != 0)
            {
                StayStopped();
                continue;
            }
            if ((work & ThreadWork.Signal) != 0)
            {
                bool taken = TakeSignal(out siginfo_t info, out kernel_sigaction action);
                Personality.Tracer?.FlushSignals(this);
                if (taken)
                {
                    Deliver(info, action);
                    continue;
                }
                if ((Volatile.Read(ref _work) & (int)(ThreadWork.Exit | ThreadWork.Stop)) != 0)
                    continue;
            }
            RepeatInterruptedCall();
            if (_restoreMask)
            {
                _restoreMask = false;
                SetSignalMask(_savedMask);
                continue;
            }
            if (Cpu.Registers.Rip >= UserAddressEnd)
            {
                // What the processor does when it cannot even fetch: a general protection fault.
                ForceSignal(SignalInfo.Kernel(SIGSEGV));
                continue;
            }
            return true;
        }
    }

    /// <summary>One past the last address that user code can use, with four-level page tables.</summary>
    internal const ulong UserAddressEnd = 0x7fff_ffff_f000;

    /// <summary>No handler ran: the interrupted call is made again, as if nothing had happened.</summary>
    private void RepeatInterruptedCall()
    {
        switch (_interruptedResult)
        {
            case 0:
                return;
            case Restart.Block:
                Cpu.Registers.Rax = SYS_restart_syscall;
                break;
            default:
                Cpu.Registers.Rax = _interruptedNumber;
                break;
        }
        Cpu.Registers.Rip -= SystemCallInstructionLength;
        _interruptedResult = 0;
    }

    /// <summary>A handler is about to run: it sees EINTR, or the call is made again after it.</summary>
    private void FinishInterruptedCall(bool restartable)
    {
        if (_interruptedResult == 0)
            return;
        if (_interruptedResult == Restart.NoInterrupt || (_interruptedResult == Restart.System && restartable))
        {
            Cpu.Registers.Rax = _interruptedNumber;
            Cpu.Registers.Rip -= SystemCallInstructionLength;
        }
        else
        {
            Cpu.Registers.Rax = unchecked((ulong)-EINTR);
        }
        _interruptedResult = 0;
    }

    private const int SystemCallInstructionLength = 2;

    private void StayStopped()
    {
        lock (Personality.TaskLock)
            Process.CountStopped(this);
        while ((Volatile.Read(ref _work) & (int)(ThreadWork.Stop | ThreadWork.Exit)) == (int)ThreadWork.Stop)
            Parker.Park(Waiting.Parker.Forever);
    }
}

/// <summary>What a call keeps for restart_syscall(2).</summary>
struct RestartState
{
    public long Deadline;
    public ulong Address;
    public ulong Address2;
    public uint Value;
    public uint Bits;
    public int Clock;
    public bool IsPrivate;
}
