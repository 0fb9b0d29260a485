using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// An outcome as the command line's exit status and, unless the program simply exited, the one line that explains it.
/// </summary>
static class ExitReport
{
    public static (int Status, string? Line) For(LaunchPlan plan, Outcome outcome) => outcome switch
    {
        Outcome.Ended ended => Ended(plan, ended),
        Outcome.HostMemoryLimit limit => (ExitStatus.MemoryLimit, HostMemory(plan, limit.Bytes)),
        Outcome.VmmDied { ProcessLimit: int processes } died => Failed(
            $"the VMM ended unexpectedly ({Describe(died.WaitStatus)}) after its control group had refused it more "
            + "than "
            + $"{processes} threads (--processes {plan.Limits.Processes}); "
            + "this is a bug in sandbox or an attack by the guest, please report it"),
        Outcome.VmmDied died => Failed(
            $"the VMM ended unexpectedly ({Describe(died.WaitStatus)}); this is a bug in sandbox, please report it"),
        Outcome.VmmMisbehaved bad => Failed($"the VMM was stopped because it {bad.What}; this is a bug in sandbox or "
            + "an attack by the guest, please report it"),
        Outcome.VmmSilent =>
            Failed("the VMM did not start the guest within 30 s and was stopped; is the host overloaded?"),
        Outcome.WallTimeEnforced => (ExitStatus.TimeLimit, WallTime(plan) + " by force"),
        Outcome.WallNotConfirmed wall => Failed(wall.What),
        Outcome.AuditFailed failed => Failed($"the audit log is incomplete and the guest was stopped: {failed.Why}"),
        Outcome.Killed => (ExitStatus.SignalBase + Libc.SIGKILL, "the guest was ended by sandbox kill or sandbox stop"),
        Outcome.Interrupted interrupted =>
            (ExitStatus.SignalBase + interrupted.Signal, "interrupted twice; the guest was stopped"),
        _ => throw new ArgumentOutOfRangeException(nameof(outcome)),
    };

    static (int, string?) Ended(LaunchPlan plan, Outcome.Ended ended)
    {
        GuestLimits limits = plan.Limits;
        switch (ended.Cause)
        {
            case EndCause.Exited when ended.Value is >= 0 and <= 255:
                return ((int)ended.Value, null);
            case EndCause.Signaled when ended.Value is >= 1 and <= 64:
                int signal = (int)ended.Value;
                return (ExitStatus.SignalBase + signal, $"the program was ended by {SignalNames.Describe(signal)}");
            case EndCause.WallTimeLimit:
                return (ExitStatus.TimeLimit, WallTime(plan));
            case EndCause.CpuTimeLimit:
                return (ExitStatus.TimeLimit, $"the CPU time limit of {Duration.Format(limits.CpuMilliseconds)} was "
                    + "reached (--cpu-time); the guest was stopped");
            case EndCause.MemoryLimit:
                return (ExitStatus.MemoryLimit, $"the memory limit of {ByteSize.Format(limits.MemoryBytes)} was "
                    + "reached (--memory); the guest was stopped");
            case EndCause.OutputLimit:
                return (ExitStatus.OutputLimit, $"the output limit of {ByteSize.Format((ulong)limits.OutputBytes)} was "
                    + "reached (--output-limit); the guest was stopped");
            case EndCause.AuditFull:
                return Failed("decisions came faster than they could be recorded and the guest was stopped, as the "
                    + "policy says (audit: when-full: stop)");
            case EndCause.NotFound:
                return (ExitStatus.NotFound, NotFound(plan, ended));
            case EndCause.NotExecutable:
                return (ExitStatus.NotExecutable,
                    $"{Program(plan)} cannot be executed: {Reason((ExecFailure)ended.Detail, ended.Value)}");
            case EndCause.PoweredOff:
                return (0, null);
            case EndCause.Rebooted:
                return (ExitStatus.Rebooted, "the guest reset itself, which ends it here");
            case EndCause.KernelPanic:
                return (ExitStatus.KernelPanic, "the guest's kernel panicked; what it said last is in its output");
            case EndCause.TripleFault:
                return (ExitStatus.TripleFault, "the guest's processor gave up (triple fault)");
            case EndCause.BadKernel:
                return Failed($"--kernel: {BootReason((BootProblem)ended.Detail)}");
            case EndCause.Failed:
                return Failed(VmmFailed(plan, ended));
            default:
                return Failed($"the VMM ended the guest for a reason that does not exist ({(uint)ended.Cause}, "
                    + $"{ended.Value}); this is a bug in sandbox, please report it");
        }
    }

    static (int, string?) Failed(string line) => (ExitStatus.SandboxFailed, line);

    static string Program(LaunchPlan plan) => Quote.Value(plan.Arguments[0]);

    static string WallTime(LaunchPlan plan) =>
        $"the time limit of {Duration.Format(plan.Limits.WallMilliseconds)} was reached (--timeout); the guest was "
            + "stopped";

    static string HostMemory(LaunchPlan plan, ulong bytes) =>
        $"the memory limit of {ByteSize.Format(plan.Limits.MemoryBytes)} (--memory) was reached by guest and VMM "
        + "together: "
        + $"the host's kernel stopped them at their control group's limit of {bytes >> 20} MiB";

    static string NotFound(LaunchPlan plan, Outcome.Ended ended)
    {
        string path = plan.Environment.FirstOrDefault(
            variable => variable.StartsWith("PATH=", StringComparison.Ordinal), "PATH=");
        string where = plan.Arguments[0].Contains('/', StringComparison.Ordinal)
            ? $"in the guest, whose working directory is {Quote.Value(plan.WorkingDirectory)}"
            : $"in the guest's PATH ({Quote.Value(path[5..])})";
        string error = ended.Value is 0 or Libc.ENOENT ? "" : $" ({Errno.Describe(ErrorNumber(ended.Value))})";
        string seen = plan.Machine is null ? "/usr and what --mount shows it" : "what its image (--root) holds";
        return $"{Program(plan)} was not found {where}{error}; the guest sees only {seen}";
    }

    static string Reason(ExecFailure failure, long error) => failure switch
    {
        ExecFailure.NotAnExecutable => "it is neither an ELF program nor a script that begins with #!",
        ExecFailure.WrongArchitecture => "it was built for another architecture; this sandbox runs x86-64 programs",
        ExecFailure.Truncated => "the file is cut short",
        ExecFailure.BadSegments => "its ELF segments contradict themselves or each other",
        ExecFailure.InterpreterMissing => "the interpreter that it names is not in the guest; show it with --mount",
        ExecFailure.PermissionDenied => "permission denied; it needs execute permission (chmod +x)",
        ExecFailure.IsDirectory => "it is a folder",
        ExecFailure.TooLarge => "it does not fit into the guest's memory; raise --memory",
        ExecFailure.ArgumentsTooLong => "its arguments and environment are too long",
        _ => Errno.Describe(ErrorNumber(error)),
    };

    static string BootReason(BootProblem problem) => problem switch
    {
        BootProblem.NotAKernel =>
            "the file is neither a bzImage nor an ELF kernel; give a vmlinuz or vmlinux for x86-64",
        BootProblem.Truncated => "the kernel or the initrd is cut short, or cannot be read",
        BootProblem.WrongArchitecture => "the kernel was built for another architecture; machine guests run x86-64",
        BootProblem.NoPvhEntry => "the ELF kernel has no PVH entry; build it with CONFIG_PVH=y, or give its bzImage",
        BootProblem.NoLinuxEntry => "the kernel has no 64-bit entry; give one for x86-64 of Linux 3.8 or newer",
        BootProblem.BadSegments => "the kernel's headers contradict themselves",
        BootProblem.KernelTooLarge => "the kernel does not fit into the guest's memory; raise --memory",
        BootProblem.InitrdTooLarge =>
            "the initrd does not fit into the guest's memory beside the kernel; raise --memory",
        BootProblem.CommandLineTooLong => "the kernel does not take so long a command line; shorten --append",
        _ => "the kernel cannot be started",
    };

    static string VmmFailed(LaunchPlan plan, Outcome.Ended ended)
    {
        string error = Errno.Describe(ErrorNumber(ended.Value));
        return (VmmFailure)ended.Detail switch
        {
            VmmFailure.BadPlan =>
                "the VMM refused the launch plan; sandbox and sandbox-vmm are of different builds, so build both again",
            VmmFailure.KvmCapability => $"this host's KVM lacks {Capability(ended.Detail32)} that guests need; use a "
                + "newer host kernel, and see sandbox doctor for the list",
            VmmFailure.KvmCall => $"KVM refused a call: {error}; run sandbox doctor",
            VmmFailure.HostMemory => $"the host has no memory left for this guest: {error}; ask for less with --memory",
            VmmFailure.WorkingDirectory => $"the guest's working directory {Quote.Value(plan.WorkingDirectory)} cannot "
                + $"be entered: {error}; choose another with --workdir, or --mount it",
            VmmFailure.ResultRecord => $"--json: the result record could not be written: {error}; the guest has ended, "
                + "but how is not recorded",
            VmmFailure.ForbiddenCall => $"the VMM was ended at {Call(ended)}, which its seccomp filter forbids; this "
                + "is a bug in sandbox or an attack by the guest, please report it",
            VmmFailure.NoMachineGuests =>
                "this host's KVM has no hardware virtualization (it runs programs, not kernels): "
                + "run the program without --kernel, or use a host that has it",
            VmmFailure.MachineStopped => "KVM could not run the guest any further; sandbox-vmm has said why",
            VmmFailure.GuestRoot when ErrorNumber(ended.Value) == EROFS =>
                "--root: the image's file system was not unmounted when it was written last, and has to be put in order; "
                + "start it once with :rw, or run e2fsck on it",
            VmmFailure.GuestRoot => $"--root: the image could not be mounted: {error}; give one of ext4, squashfs or "
                + "erofs that the kernel can read",
            VmmFailure.GuestSetup =>
                $"the guest's kernel lacks something that its program needs: {error}; see --modules",
            VmmFailure.AgentMisbehaved =>
                "the guest took its own first process over and broke the protocol; it was stopped",
            VmmFailure.InternalError => $"the VMM failed ({error}); this is a bug in sandbox, please report it",
            _ => $"the VMM failed for an unknown reason ({error}); this is a bug in sandbox, please report it",
        };
    }

    // sandbox-gate's forbidden_call says it.
    static string Call(Outcome.Ended ended) =>
        $"the system call {SystemCallNames.NameOf((int)ended.Value)}(0x{(uint)(ended.Value >> 32):x}, "
            + $"0x{ended.Detail32:x}, ...)";

    static string Capability(uint number) =>
        KvmRequirement.All.Concat(KvmRequirement.MachineGuests)
            .FirstOrDefault(need => need.Capability == number) is { } need
            ? $"{need.Name} ({need.Purpose})"
            : "a capability";

    // The number comes from the VMM: anything may be in it.
    static int ErrorNumber(long value) => value is > 0 and < 4096 ? (int)value : 0;

    static string Describe(int? status) => status switch
    {
        null => "its status is not known",
        int s when Libc.WIFSIGNALED(s) => SignalNames.Describe(Libc.WTERMSIG(s)),
        int s => $"exit status {Libc.WEXITSTATUS(s)}",
    };
}
