namespace Sandbox.Host;

/// <summary>openat2(2): linux/openat2.h.</summary>
public static unsafe partial class Libc
{
    public const int RESOLVE_NO_XDEV = 0x1;
    public const int RESOLVE_NO_MAGICLINKS = 0x2;
    public const int RESOLVE_NO_SYMLINKS = 0x4;
    public const int RESOLVE_BENEATH = 0x8;
    public const int RESOLVE_IN_ROOT = 0x10;
    public const int RESOLVE_CACHED = 0x20;
}
