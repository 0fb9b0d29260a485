using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>
/// rt_sigaction(2)'s argument as the kernel takes it: struct sigaction of asm/signal.h. The C library's structure of
/// that name has another layout, hence the prefix.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct kernel_sigaction
{
    public ulong sa_handler;
    public ulong sa_flags;
    public ulong sa_restorer;
    public ulong sa_mask;
}

/// <summary>Alternate signal stack: asm/signal.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct stack_t
{
    public ulong ss_sp;
    public int ss_flags;
    public ulong ss_size;
}

/// <summary>A signal's value: asm-generic/siginfo.h.</summary>
[StructLayout(LayoutKind.Explicit)]
public struct sigval
{
    [FieldOffset(0)] public int sival_int;
    [FieldOffset(0)] public ulong sival_ptr;
}

/// <summary>
/// What accompanies a signal: asm-generic/siginfo.h, 128 bytes. Which fields count depends on si_signo and si_code:
/// si_pid, si_uid (kill, rt, SIGCHLD), si_status, si_utime, si_stime in clock ticks (SIGCHLD), si_value (rt, timers),
/// si_addr (faults), si_band, si_fd (SIGIO), si_call_addr, si_syscall, si_arch (SIGSYS).
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 128)]
public struct siginfo_t
{
    [FieldOffset(0)] public int si_signo;
    [FieldOffset(4)] public int si_errno;
    [FieldOffset(8)] public int si_code;

    [FieldOffset(16)] public int si_pid;
    [FieldOffset(20)] public uint si_uid;

    [FieldOffset(16)] public int si_tid;
    [FieldOffset(20)] public int si_overrun;
    [FieldOffset(24)] public sigval si_value;
    [FieldOffset(24)] public int si_int;
    [FieldOffset(24)] public ulong si_ptr;

    [FieldOffset(24)] public int si_status;
    [FieldOffset(32)] public long si_utime;
    [FieldOffset(40)] public long si_stime;

    [FieldOffset(16)] public ulong si_addr;
    [FieldOffset(24)] public short si_addr_lsb;
    [FieldOffset(32)] public ulong si_lower;
    [FieldOffset(40)] public ulong si_upper;
    [FieldOffset(32)] public uint si_pkey;

    [FieldOffset(16)] public long si_band;
    [FieldOffset(24)] public int si_fd;

    [FieldOffset(16)] public ulong si_call_addr;
    [FieldOffset(24)] public int si_syscall;
    [FieldOffset(28)] public uint si_arch;
}

/// <summary>How a timer or a message queue notifies: asm-generic/siginfo.h, 64 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 64)]
public struct sigevent
{
    [FieldOffset(0)] public sigval sigev_value;
    [FieldOffset(8)] public int sigev_signo;
    [FieldOffset(12)] public int sigev_notify;
    [FieldOffset(16)] public int sigev_notify_thread_id;
    [FieldOffset(16)] public ulong sigev_notify_function;
    [FieldOffset(24)] public ulong sigev_notify_attributes;
}

/// <summary>Registers in a signal frame: struct sigcontext_64 of asm/sigcontext.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct sigcontext_64
{
    public ulong r8;
    public ulong r9;
    public ulong r10;
    public ulong r11;
    public ulong r12;
    public ulong r13;
    public ulong r14;
    public ulong r15;
    public ulong di;
    public ulong si;
    public ulong bp;
    public ulong bx;
    public ulong dx;
    public ulong ax;
    public ulong cx;
    public ulong sp;
    public ulong ip;
    public ulong flags;
    public ushort cs;
    public ushort gs;
    public ushort fs;
    public ushort ss;
    public ulong err;
    public ulong trapno;
    public ulong oldmask;
    public ulong cr2;
    /// <summary>Address of the FXSAVE or XSAVE image, 0 for none.</summary>
    public ulong fpstate;
    public fixed ulong reserved1[8];
}

/// <summary>A signal frame's context: struct ucontext of asm-generic/ucontext.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ucontext
{
    public ulong uc_flags;
    public ulong uc_link;
    public stack_t uc_stack;
    public sigcontext_64 uc_mcontext;
    public ulong uc_sigmask;
}

/// <summary>
/// Describes the XSAVE image of a signal frame, in bytes 464..511 of its FXSAVE area: asm/sigcontext.h.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct _fpx_sw_bytes
{
    public uint magic1;
    public uint extended_size;
    public ulong xfeatures;
    public uint xstate_size;
    public fixed uint padding[7];
}

/// <summary>The legacy part of an FXSAVE or XSAVE image: struct _fpstate_64 of asm/sigcontext.h, 512 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct _fpstate_64
{
    public ushort cwd;
    public ushort swd;
    public ushort twd;
    public ushort fop;
    public ulong rip;
    public ulong rdp;
    public uint mxcsr;
    public uint mxcsr_mask;
    public fixed uint st_space[32];
    public fixed uint xmm_space[64];
    public fixed uint reserved2[12];
    public _fpx_sw_bytes sw_reserved;
}

/// <summary>XSAVE header: asm/sigcontext.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct _header
{
    public ulong xfeatures;
    public fixed ulong reserved1[2];
    public fixed ulong reserved2[5];
}

/// <summary>Sending and blocking signals: signal.h. Signal sets are the kernel's: bit n-1 is signal n.</summary>
public static unsafe partial class Libc
{
    /// <summary>Bytes of a kernel signal set.</summary>
    internal const int KernelSignalSetSize = 8;

    [LibraryImport(Library, SetLastError = true)]
    public static partial int kill(int pid, int signal);

    public static int tgkill(int tgid, int tid, int signal) => (int)syscall(SYS_tgkill, tgid, tid, signal);

    public static int rt_sigprocmask(int how, ulong* set, ulong* oldSet) =>
        (int)syscall(SYS_rt_sigprocmask, how, (nint)set, (nint)oldSet, KernelSignalSetSize);

    public static int rt_sigtimedwait(ulong* set, siginfo_t* info, timespec* timeout) =>
        (int)syscall(SYS_rt_sigtimedwait, (nint)set, (nint)info, (nint)timeout, KernelSignalSetSize);

    /// <summary>
    /// Sets what a signal does. A handler would need a restorer and must not be managed code: use this for
    /// SIG_DFL and SIG_IGN.
    /// </summary>
    public static int rt_sigaction(int signal, kernel_sigaction* action, kernel_sigaction* oldAction) =>
        (int)syscall(SYS_rt_sigaction, signal, (nint)action, (nint)oldAction, KernelSignalSetSize);

    public static int signalfd4(int fd, ulong* mask, int flags) =>
        (int)syscall(SYS_signalfd4, fd, (nint)mask, KernelSignalSetSize, flags);
}
