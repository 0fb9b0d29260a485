using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>One instruction of classic BPF: linux/filter.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct sock_filter
{
    public ushort code;
    public byte jt;
    public byte jf;
    public uint k;
}

/// <summary>A program of classic BPF: linux/filter.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct sock_fprog
{
    public ushort len;
    public sock_filter* filter;
}

/// <summary>seccomp(2): linux/seccomp.h.</summary>
public static unsafe partial class Libc
{
    public const int BPF_JMP = 0x05;
    public const int BPF_JEQ = 0x10;
    public const int BPF_K = 0x00;
    public const int BPF_RET = 0x06;

    public const int SECCOMP_MODE_FILTER = 2;
    public const int SECCOMP_SET_MODE_FILTER = 1;
    public const int SECCOMP_GET_ACTION_AVAIL = 2;

    public const uint SECCOMP_FILTER_FLAG_TSYNC = 1;

    public const uint SECCOMP_RET_KILL_PROCESS = 0x80000000;
    public const uint SECCOMP_RET_TRAP = 0x00030000;
    public const uint SECCOMP_RET_ERRNO = 0x00050000;
    public const uint SECCOMP_RET_ALLOW = 0x7fff0000;

    /// <summary>0; a thread that could not be synchronized; or -1 with errno.</summary>
    public static int seccomp(int operation, uint flags, void* argument) =>
        (int)syscall(SYS_seccomp, operation, (nint)flags, (nint)argument);
}
