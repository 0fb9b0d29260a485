using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>
/// Head of a directory entry of getdents64(2), 19 bytes; the name follows, ended by a zero byte, and d_reclen says
/// where the next entry begins: linux/dirent.h of the kernel, struct dirent64 of the C library.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct linux_dirent64
{
    public ulong d_ino;
    public long d_off;
    public ushort d_reclen;
    public byte d_type;
}

/// <summary>Reading directories.</summary>
public static unsafe partial class Libc
{
    public static nint getdents64(int fd, void* buffer, nuint size) =>
        (nint)syscall(SYS_getdents64, fd, (nint)buffer, (nint)size);
}
