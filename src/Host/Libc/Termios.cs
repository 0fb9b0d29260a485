using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>
/// Terminal settings as TCGETS and TCSETS exchange them: the kernel's struct termios (asm-generic/termbits.h), which
/// is shorter than the C library's.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct termios
{
    public uint c_iflag;
    public uint c_oflag;
    public uint c_cflag;
    public uint c_lflag;
    public byte c_line;
    public fixed byte c_cc[19];
}

/// <summary>Terminal settings with explicit speeds, TCGETS2 and TCSETS2: asm-generic/termbits.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct termios2
{
    public uint c_iflag;
    public uint c_oflag;
    public uint c_cflag;
    public uint c_lflag;
    public byte c_line;
    public fixed byte c_cc[19];
    public uint c_ispeed;
    public uint c_ospeed;
}
