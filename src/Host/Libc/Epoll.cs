using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>An event and the caller's data: linux/eventpoll.h, 12 bytes on x86-64.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct epoll_event
{
    public uint events;
    public ulong data;
}

/// <summary>Event queues and counters: sys/epoll.h, sys/eventfd.h.</summary>
public static unsafe partial class Libc
{
    [LibraryImport(Library, SetLastError = true)]
    public static partial int epoll_create1(int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int epoll_ctl(int epfd, int op, int fd, epoll_event* ev);

    /// <summary>Waits for events; the timeout is in milliseconds, negative for none.</summary>
    [LibraryImport(Library, SetLastError = true)]
    public static partial int epoll_wait(int epfd, epoll_event* events, int maxEvents, int timeoutMilliseconds);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int eventfd(uint initial, int flags);
}
