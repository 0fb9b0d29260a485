using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Link of a robust futex list: linux/futex.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct robust_list
{
    public ulong next;
}

/// <summary>Head of a thread's robust futex list: linux/futex.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct robust_list_head
{
    public robust_list list;
    public long futex_offset;
    public ulong list_op_pending;
}

/// <summary>One futex of futex_waitv(2): linux/futex.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct futex_waitv
{
    public ulong val;
    public ulong uaddr;
    public uint flags;
    public uint __reserved;
}

/// <summary>Restartable sequences: linux/rseq.h, the original 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct rseq
{
    public uint cpu_id_start;
    public uint cpu_id;
    public ulong rseq_cs;
    public uint flags;
    private readonly uint _padding0;
    private readonly ulong _padding1;
}

/// <summary>futex(2).</summary>
public static unsafe partial class Libc
{
    public static long futex(uint* word, int op, uint value, timespec* timeout, uint* word2, uint value3) =>
        syscall(SYS_futex, (nint)word, op, (nint)value, (nint)timeout, (nint)word2, (nint)value3);
}
