using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>How openat2(2) opens: linux/openat2.h. Flags are O_*, resolve is RESOLVE_*.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct open_how
{
    public ulong flags;
    public ulong mode;
    public ulong resolve;
}

/// <summary>openat2(2).</summary>
public static unsafe partial class Libc
{
    public static int openat2(int dirfd, byte* path, open_how* how, nuint size) =>
        (int)syscall(SYS_openat2, dirfd, (nint)path, (nint)how, (nint)size);
}
