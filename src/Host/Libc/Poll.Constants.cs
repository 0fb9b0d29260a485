namespace Sandbox.Host;

/// <summary>poll(2) events: asm/poll.h.</summary>
public static unsafe partial class Libc
{
    public const int POLLIN = 0x1;
    public const int POLLPRI = 0x2;
    public const int POLLOUT = 0x4;
    public const int POLLERR = 0x8;
    public const int POLLHUP = 0x10;
    public const int POLLNVAL = 0x20;
    public const int POLLRDNORM = 0x40;
    public const int POLLRDBAND = 0x80;
    public const int POLLWRNORM = 0x100;
    public const int POLLWRBAND = 0x200;
    public const int POLLMSG = 0x400;
    public const int POLLREMOVE = 0x1000;
    public const int POLLRDHUP = 0x2000;
    public const int POLLFREE = 0x4000;
}
