namespace Sandbox.Host;

/// <summary>epoll(7): linux/eventpoll.h.</summary>
public static unsafe partial class Libc
{
    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EPOLL_CTL_ADD = 1;
    public const int EPOLL_CTL_DEL = 2;
    public const int EPOLL_CTL_MOD = 3;
    public const int EPOLLIN = 0x1;
    public const int EPOLLPRI = 0x2;
    public const int EPOLLOUT = 0x4;
    public const int EPOLLERR = 0x8;
    public const int EPOLLHUP = 0x10;
    public const int EPOLLNVAL = 0x20;
    public const int EPOLLRDNORM = 0x40;
    public const int EPOLLRDBAND = 0x80;
    public const int EPOLLWRNORM = 0x100;
    public const int EPOLLWRBAND = 0x200;
    public const int EPOLLMSG = 0x400;
    public const int EPOLLRDHUP = 0x2000;
    public const int EPOLL_URING_WAKE = 0x8000000;
    public const int EPOLLEXCLUSIVE = 0x10000000;
    public const int EPOLLWAKEUP = 0x20000000;
    public const int EPOLLONESHOT = 0x40000000;
    public const uint EPOLLET = 0x80000000u;
}
