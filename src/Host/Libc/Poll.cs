using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>One descriptor of poll(2): asm-generic/poll.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct pollfd
{
    public int fd;
    public short events;
    public short revents;
}

/// <summary>Waiting for descriptors: poll.h.</summary>
public static unsafe partial class Libc
{
    /// <summary>Waits for events; the timeout is in milliseconds, negative for none.</summary>
    [LibraryImport(Library, SetLastError = true)]
    public static partial int poll(pollfd* fds, nuint count, int timeoutMilliseconds);

    /// <summary>ppoll(2) with a kernel signal set; the kernel writes the time left into the timeout.</summary>
    public static int ppoll(pollfd* fds, nuint count, timespec* timeout, ulong* signalMask) =>
        (int)syscall(SYS_ppoll, (nint)fds, (nint)count, (nint)timeout, (nint)signalMask, KernelSignalSetSize);
}
