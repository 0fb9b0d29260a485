namespace Sandbox.Host;

/// <summary>getrandom(2): linux/random.h.</summary>
public static unsafe partial class Libc
{
    public const int GRND_NONBLOCK = 0x1;
    public const int GRND_RANDOM = 0x2;
    public const int GRND_INSECURE = 0x4;
}
