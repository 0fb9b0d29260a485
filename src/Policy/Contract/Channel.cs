using System.Runtime.InteropServices;

namespace Sandbox.Policy.Contract;

/// <summary>What a message on the channel between supervisor and VMM says.</summary>
public enum MessageKind : uint
{
    /// <summary>
    /// Supervisor to VMM, first and once: carries descriptors, the first of which is a memfd with the plan as
    /// <see cref="LaunchPlan.Serialize"/> writes it, the rest the plan's descriptors in order.
    /// <see cref="ChannelMessage.Value"/> is their number without the memfd.
    /// <see cref="ChannelMessage.Detail32"/> says what the VMM has to put on first: <see cref="StartOrders"/>.
    /// </summary>
    Start = 1,

    /// <summary>
    /// Supervisor to VMM: deliver signal <see cref="ChannelMessage.Value"/> to the guest's first process.
    /// </summary>
    Signal = 2,

    /// <summary>Supervisor to VMM: the terminal is now Value rows by Detail columns.</summary>
    WindowSize = 3,

    /// <summary>Supervisor to VMM, once, after <see cref="Confined"/>: let the guest run.</summary>
    Go = 4,

    /// <summary>
    /// Supervisor to VMM, once the guest has started and the last was answered: write the record of what has been
    /// counted so far. Value is a number of the request's own.
    /// </summary>
    Count = 5,

    /// <summary>
    /// Supervisor to VMM: the answer to <see cref="Connect"/>, whose number Value is. Detail32 is 0, and a connected
    /// stream socket comes along, or it is the errno with which there is none.
    /// </summary>
    Connected = 6,

    /// <summary>
    /// Supervisor to VMM, of a machine guest with a balloon: have it asked to give back Value bytes of its memory, 0 to
    /// all of it.
    /// </summary>
    Balloon = 7,

    /// <summary>
    /// VMM to supervisor: the first guest instruction is about to run. <see cref="ChannelMessage.Detail32"/> are the
    /// orders that it has carried out.
    /// </summary>
    Started = 16,

    /// <summary>
    /// VMM to supervisor, last: <see cref="ChannelMessage.Cause"/> says why the guest ended, Value is the exit status
    /// (or signal number, or errno), Detail the limit in its own unit.
    /// </summary>
    Ended = 17,

    /// <summary>VMM to supervisor: the foreground job stopped; suspend the command line too.</summary>
    Stopped = 18,

    /// <summary>
    /// VMM to supervisor, where <see cref="StartOrders.Inspection"/> was ordered: everything stands, nothing of the
    /// guest's has run, and nothing will before <see cref="Go"/>. Detail32 as in <see cref="Started"/>.
    /// </summary>
    Confined = 19,

    /// <summary>
    /// VMM to supervisor: the record that was asked for is written. Value is the request's number.
    /// <see cref="ChannelMessage.Detail32"/> is 0, or the errno with which it is not.
    /// </summary>
    Counted = 20,

    /// <summary>
    /// VMM to supervisor, of a machine guest whose policy gives its socket device a path: connect port
    /// <see cref="ChannelMessage.Detail32"/> of the host. Value is a number of the request's own.
    /// </summary>
    Connect = 21,
}

/// <summary>What a VMM confines itself with before it obeys its plan.</summary>
[Flags]
public enum StartOrders : uint
{
    None = 0,

    /// <summary>A Landlock ruleset, which stands before the plan's descriptors.</summary>
    Landlock = 1 << 0,

    /// <summary>Its seccomp filters.</summary>
    Seccomp = 1 << 1,

    /// <summary>To be looked at before the guest's first instruction; nothing that is put on.</summary>
    Inspection = 1 << 2,

    /// <summary>
    /// Memory that was writable never becomes executable: PR_SET_MDWE, from Linux 6.3 on. It needs no order, and is
    /// told where it was put on.
    /// </summary>
    DenyWriteExecute = 1 << 3,

    All = Landlock | Seccomp | Inspection | DenyWriteExecute,
}

/// <summary>Why a guest ended.</summary>
public enum EndCause : uint
{
    None = 0,
    /// <summary>The first process exited; Value is its status.</summary>
    Exited = 1,
    /// <summary>A signal ended the first process; Value is its number.</summary>
    Signaled = 2,
    WallTimeLimit = 3,
    CpuTimeLimit = 4,
    MemoryLimit = 5,
    OutputLimit = 6,
    /// <summary>The program is not in the guest's file tree; Value is the errno.</summary>
    NotFound = 7,
    /// <summary>
    /// The program exists but cannot be executed; Value is the errno, Detail an <see cref="ExecFailure"/>.
    /// </summary>
    NotExecutable = 8,
    /// <summary>The VMM could not do its work; Value is an errno, Detail a <see cref="VmmFailure"/>.</summary>
    Failed = 9,
    /// <summary>A decision could not be recorded, and the policy says to stop then.</summary>
    AuditFull = 10,
    /// <summary>A machine guest turned itself off.</summary>
    PoweredOff = 11,
    /// <summary>A machine guest reset itself.</summary>
    Rebooted = 12,
    /// <summary>A machine guest reset itself because its kernel had panicked.</summary>
    KernelPanic = 13,
    /// <summary>A machine guest's processor found no handler for an exception, nor for what that raised.</summary>
    TripleFault = 14,
    /// <summary>A machine guest's kernel cannot be started; Detail is a <see cref="BootProblem"/>.</summary>
    BadKernel = 15,
}

/// <summary>Why a program could not be executed.</summary>
public enum ExecFailure : uint
{
    None = 0,
    NotAnExecutable,
    WrongArchitecture,
    Truncated,
    BadSegments,
    InterpreterMissing,
    PermissionDenied,
    IsDirectory,
    TooLarge,
    ArgumentsTooLong,
}

/// <summary>Why a VMM could not do its work.</summary>
public enum VmmFailure : uint
{
    None = 0,
    BadPlan,
    KvmCapability,
    KvmCall,
    HostMemory,
    WorkingDirectory,
    ResultRecord,
    InternalError,
    /// <summary>
    /// A filter stopped a system call: Value is its number, and the low 32 bits of its first argument above; Detail32
    /// those of its second. Said by sandbox-gate's forbidden_call.
    /// </summary>
    ForbiddenCall,
    /// <summary>A machine guest where KVM has no hardware virtualization.</summary>
    NoMachineGuests,
    /// <summary>KVM could not run a machine guest any further; the VMM has said more on standard error.</summary>
    MachineStopped,
    /// <summary>A machine guest's root image could not be mounted.</summary>
    GuestRoot,
    /// <summary>A machine guest's kernel could not be given what its program needs: modules, mounts.</summary>
    GuestSetup,
    /// <summary>What came over the agent's port were no messages of an agent.</summary>
    AgentMisbehaved,
}

/// <summary>One message: fixed size, so that neither side ever parses a length.</summary>
[StructLayout(LayoutKind.Sequential, Size = Size)]
public struct ChannelMessage
{
    public const int Size = 32;
    public const uint CurrentVersion = 1;

    public uint Version;
    public MessageKind Kind;
    public EndCause Cause;
    public uint Detail32;
    public long Value;
    public long Detail;
}

/// <summary>The descriptors that a VMM is born with; 0 and 1 are /dev/null, 2 is for crashes alone.</summary>
public static class StartDescriptors
{
    /// <summary>AF_UNIX, SOCK_SEQPACKET: <see cref="ChannelMessage"/>s.</summary>
    public const int Channel = 3;

    /// <summary>/dev/kvm.</summary>
    public const int Kvm = 4;
}

/// <summary>The command line's exit statuses beyond the program's own.</summary>
public static class ExitStatus
{
    public const int Rebooted = 120;
    public const int KernelPanic = 121;
    public const int TripleFault = 122;
    public const int TimeLimit = 124;
    public const int SandboxFailed = 125;
    public const int NotExecutable = 126;
    public const int NotFound = 127;
    public const int SignalBase = 128;
    public const int MemoryLimit = 137;
    /// <summary>The output limit ends a guest as the kernel ends a writer over its file-size limit.</summary>
    public const int OutputLimit = SignalBase + 25;
}
