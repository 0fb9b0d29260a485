using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Audit;
using Sandbox.Vmm.Personality.Handoff;
using Sandbox.Vmm.Personality.Processes;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// The thread's life: user code, an exit, its answer, and round again.
public sealed partial class GuestThread
{
    /// <summary>How often a call is served anew because what its path led to was replaced meanwhile.</summary>
    private const int MostWalksAgain = 16;

    private enum Mode
    {
        /// <summary>In the VMM: wake it with its <see cref="Waiting.Parker"/>.</summary>
        Serving,
        /// <summary>In user code, or about to be: wake it with <see cref="VirtualCpu.Interrupt"/>.</summary>
        User,
    }

    private volatile Mode _mode;

    /// <summary>The exits and calls of this thread; merged into the guest's when it ends.</summary>
    internal ExitCounters Counters { get; private set; } = null!;

    /// <summary>Makes the thread look at its work. From any thread, after <see cref="SetWork"/>.</summary>
    internal void Kick()
    {
        // The loop sets its mode, then looks at its work; here the work was set first. One of the two sees the other.
        if (_mode == Mode.User)
            Cpu.Interrupt();
        Parker.Unpark();
    }

    /// <summary>Runs the guest thread to its end on the calling host thread.</summary>
    /// <param name="worker">The host thread's own handle; it goes back to its owner when the thread has ended.</param>
    internal void Run(ExitCounters counters, HostThreads owner, HostThreads.Worker worker)
    {
        _current = this;
        Counters = counters;
        try
        {
            StartCpuAccounting();
            Cpu.Attach(Memory);
            LoadInitialState();
            RunUserCode();
            Leave();
        }
        catch (Exception bug)
        {
            // Not caused by the guest's data but by a mistake of ours: the guest must not go on, nor hide it.
            Personality.Fail(VmmFailure.InternalError, 0, bug.ToString());
        }
        finally
        {
            _current = null;
            owner.Return(worker);
            Personality.OnThreadEnded(this);
        }
    }

    private void RunUserCode()
    {
        CpuGate? gate = Personality.CpuGate;
        Attendance? attendance = Personality.Attendance;
        while (true)
        {
            if (HasPendingSignal || _interruptedResult != 0 || _restoreMask)
            {
                if (!AttendToWork())
                    return;
            }
            if (gate is not null && !gate.Enter(this))
                continue;
            _mode = Mode.User;
            Interlocked.MemoryBarrier();
            if (HasPendingSignal)
            {
                _mode = Mode.Serving;
                gate?.Leave(this);
                continue;
            }
            attendance?.CountRunning(+1);
            GuestExit exit = Cpu.Run();
            long leftAt = HostClock.MonotonicNanoseconds();
            attendance?.CountRunning(-1);
            _mode = Mode.Serving;
            gate?.Leave(this);
            Counters.Count(exit.Kind);
            switch (exit.Kind)
            {
                case GuestExitKind.SystemCall:
                    bool frequent = attendance is not null && Attendance.IsFrequent(this);
                    ServeCall();
                    attendance?.AfterCall(this, frequent);
                    break;
                case GuestExitKind.ServedCall:
                    Conclude(Cpu.Exchange!.Number, Cpu.Exchange.Result);
                    break;
                case GuestExitKind.PageFault:
                    OnPageFault(exit);
                    break;
                case GuestExitKind.Exception:
                    OnException(exit);
                    break;
                case GuestExitKind.BackingLost:
                    OnBackingLost(exit);
                    break;
                case GuestExitKind.Interrupted:
                    break;
                default:
                    Personality.Fail(VmmFailure.KvmCall, 0, Cpu.FailureDetail);
                    return;
            }
            Counters.Time(exit.Kind, HostClock.MonotonicNanoseconds() - leftAt);
        }
    }

    private void ServeCall()
    {
        ref GuestRegisters registers = ref Cpu.Registers;
        // The kernel takes the low half of RAX as the number.
        uint number = (uint)registers.Rax;
        SystemCallArguments arguments = new(
            registers.Rdi, registers.Rsi, registers.Rdx, registers.R10, registers.R8, registers.R9);
        Conclude(number, Dispatch(number, arguments));
    }

    /// <summary>Serves a call, however it arrived. What it returns is not always for the guest to see.</summary>
    private long Dispatch(uint number, in SystemCallArguments arguments)
    {
        ref readonly SystemCallEntry entry = ref Personality.SystemCalls[number];
        Counters.CountCall(number, entry.Handler is not null);
        long result = Personality.Tracer is null
            ? Serve(number, entry, arguments)
            : ServeTraced(number, entry, arguments);
        if (Errands.TakeCost() is not 0 and long cost)
            ChargeCpu(cost);
        return result;
    }

    private long Serve(uint number, in SystemCallEntry entry, in SystemCallArguments arguments)
    {
        if (Personality.CallRules is not null && !MayCall(number, arguments, out long refusal))
            return refusal;
        if (entry.Handler is null)
            return -ENOSYS;
        long result = entry.Handler(this, arguments);
        // The path of a file that is replaced leads to one or the other, and never to none. fcntl has none, but
        // process groups (F_GETOWN).
        for (int again = 0; result == -ESTALE && number != SYS_fcntl; again++)
            result = again < MostWalksAgain ? entry.Handler(this, arguments) : -ENOENT;
        return result;
    }

    /// <summary>What a call came to, with the processor out of the guest.</summary>
    private void Conclude(uint number, long result)
    {
        if (Restart.IsRestart(result))
        {
            _interruptedResult = result;
            _interruptedNumber = number;
        }
        else if (result != Restart.KeepRegisters)
        {
            Cpu.Registers.Rax = unchecked((ulong)result);
        }
    }

    /// <summary>Asks the policy's rules; false with what the call answers.</summary>
    private bool MayCall(uint number, in SystemCallArguments arguments, out long answer)
    {
        ReadOnlySpan<ulong> registers =
            [arguments.A0, arguments.A1, arguments.A2, arguments.A3, arguments.A4, arguments.A5];
        DecisionRecorder? recorder = Personality.Recorder;
        long began = recorder is null ? 0 : HostClock.MonotonicNanoseconds();
        SystemCallVerdict verdict = Personality.CallRules!.Decide(number, registers);
        answer = -verdict.Answer;
        if (recorder is not null && recorder.Records(verdict.Allowed) && !IsRecordedAlready(number, arguments)
            && !recorder.RecordCall(number, arguments, verdict, HostClock.MonotonicNanoseconds() - began))
        {
            answer = -EPERM;
            return false;
        }
        if (!verdict.Allowed && verdict.Answer == SystemCallTables.Kill)
        {
            // As a filter of the kernel ends a process that it is to kill.
            answer = -EPERM;
            Personality.End(EndCause.Signaled, SIGSYS, 0);
        }
        return verdict.Allowed;
    }

    private long ServeTraced(uint number, in SystemCallEntry entry, in SystemCallArguments arguments)
    {
        Trace.Tracer tracer = Personality.Tracer!;
        tracer.Enter(this, number, entry, arguments);
        long result = Serve(number, entry, arguments);
        tracer.Leave(this, number, entry, arguments, result);
        return result;
    }
}
