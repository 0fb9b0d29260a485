using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Size of a terminal in character cells (and pixels, rarely set): asm-generic/termios.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct winsize
{
    public ushort ws_row;
    public ushort ws_col;
    public ushort ws_xpixel;
    public ushort ws_ypixel;
}

/// <summary>A range for FICLONERANGE: linux/fs.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct file_clone_range
{
    public long src_fd;
    public ulong src_offset;
    public ulong src_length;
    public ulong dest_offset;
}

/// <summary>ioctl(2).</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int ioctl(int fd, nuint request, void* argument);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int ioctl(int fd, nuint request, nint argument);
}
