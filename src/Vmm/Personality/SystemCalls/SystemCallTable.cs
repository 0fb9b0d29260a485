using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>
/// Serves one system call. Returns the value for RAX: a result, a negative errno, or one of the restart codes of
/// <see cref="Restart"/>. Never throws for anything that a guest can cause.
/// </summary>
public delegate long SystemCallHandler(GuestThread thread, in SystemCallArguments arguments);

/// <summary>One row: the call's name, its handler, and how --trace prints its arguments.</summary>
/// <param name="Signature">
/// One word per argument, in order: int, uint, hex, fd, dirfd, ptr, path, str, buf (with the count in the next
/// argument or the result), size, offset, flags:NAME, mode, signal, pid, timespec, and so on; unknown words print
/// as hex.
/// </param>
/// <param name="AtExit">
/// Served only while the thread's processor is out of the guest: the call reads or changes it, or it always waits.
/// </param>
public readonly record struct SystemCallEntry(string Name, SystemCallHandler Handler, string Signature, bool AtExit);

/// <summary>System call numbers to handlers. Filled once at start; read without locks.</summary>
public sealed class SystemCallTable
{
    /// <summary>Above every number that x86-64 Linux has given out.</summary>
    public const int Limit = 512;

    private readonly SystemCallEntry[] _entries = new SystemCallEntry[Limit];

    public SystemCallTable()
    {
        FileCalls.Register(this);
        DirectoryCalls.Register(this);
        InputOutputCalls.Register(this);
        PollCalls.Register(this);
        SocketCalls.Register(this);
        MemoryCalls.Register(this);
        SegmentCalls.Register(this);
        ProcessCalls.Register(this);
        ThreadCalls.Register(this);
        SignalCalls.Register(this);
        TimeCalls.Register(this);
        InformationCalls.Register(this);
    }

    public void Add(int number, string name, SystemCallHandler handler, string signature, bool atExit = false)
    {
        if (_entries[number].Handler is not null)
            throw new InvalidOperationException($"system call {name} ({number}) is registered twice");
        _entries[number] = new(name, handler, signature, atExit);
    }

    /// <summary>The row for a number; its handler is null when the personality does not serve it.</summary>
    public ref readonly SystemCallEntry this[ulong number]
    {
        get
        {
            if (number < Limit)
                return ref _entries[number];
            return ref Missing;
        }
    }

    private static readonly SystemCallEntry Missing;
}

/// <summary>
/// What a handler returns when a signal interrupted it, as inside the kernel (include/linux/errno.h): the guest never
/// sees these, signal delivery turns them into EINTR or a repeated call. No answer of a call is among them, a process
/// group below zero (F_GETOWN) included.
/// </summary>
public static class Restart
{
    private const long Hidden = -1L << 32;

    /// <summary>Repeat when the handler was set with SA_RESTART or no handler ran, else EINTR.</summary>
    public const long System = Hidden - 512;

    /// <summary>Repeat in any case.</summary>
    public const long NoInterrupt = Hidden - 513;

    /// <summary>Repeat only if no handler ran, else EINTR.</summary>
    public const long NoHandler = Hidden - 514;

    /// <summary>As <see cref="NoHandler"/>, through restart_syscall with the thread's saved deadline.</summary>
    public const long Block = Hidden - 516;

    /// <summary>rt_sigreturn and execve: registers are already what they must be.</summary>
    public const long KeepRegisters = Hidden - 600;

    /// <summary>
    /// A call that is served while its processor is in the guest would have to wait: nothing has been done, and the
    /// thread itself serves it again once it is out.
    /// </summary>
    public const long AtExit = Hidden - 601;

    /// <summary>One of the codes for which the call is made again or becomes EINTR.</summary>
    public static bool IsRestart(long result) => result is <= System and >= Block;
}
