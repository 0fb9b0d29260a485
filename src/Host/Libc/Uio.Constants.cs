namespace Sandbox.Host;

/// <summary>Vectored I/O: linux/fs.h (RWF_*), linux/uio.h.</summary>
public static unsafe partial class Libc
{
    public const int RWF_WRITE_LIFE_NOT_SET = 0;
    public const int RWF_HIPRI = 0x1;
    public const int RWF_DSYNC = 0x2;
    public const int RWF_SYNC = 0x4;
    public const int RWF_NOWAIT = 0x8;
    public const int RWF_APPEND = 0x10;

    public const int UIO_FASTIOV = 8;
    public const int UIO_MAXIOV = 1024;
}
