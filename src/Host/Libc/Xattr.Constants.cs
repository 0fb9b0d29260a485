namespace Sandbox.Host;

/// <summary>Extended attributes: linux/xattr.h, linux/limits.h.</summary>
public static unsafe partial class Libc
{
    public const int XATTR_NAME_MAX = 255;
    public const int XATTR_SIZE_MAX = 65536;
    public const int XATTR_LIST_MAX = 65536;
    public const int XATTR_CREATE = 0x1;
    public const int XATTR_REPLACE = 0x2;
}
