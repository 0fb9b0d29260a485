using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Seconds and nanoseconds: linux/time_types.h (struct __kernel_timespec).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct timespec
{
    public long tv_sec;
    public long tv_nsec;
}

/// <summary>Seconds and microseconds: linux/time.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct timeval
{
    public long tv_sec;
    public long tv_usec;
}

/// <summary>A timer's period and time left, in timespecs: linux/time.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct itimerspec
{
    public timespec it_interval;
    public timespec it_value;
}

/// <summary>A timer's period and time left, in timevals: linux/time.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct itimerval
{
    public timeval it_interval;
    public timeval it_value;
}

/// <summary>The argument of gettimeofday(2) that nobody uses: linux/time.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct timezone
{
    public int tz_minuteswest;
    public int tz_dsttime;
}

/// <summary>Process times in clock ticks: linux/times.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct tms
{
    public long tms_utime;
    public long tms_stime;
    public long tms_cutime;
    public long tms_cstime;
}

/// <summary>Times of utime(2), in seconds: linux/utime.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct utimbuf
{
    public long actime;
    public long modtime;
}

/// <summary>Clocks and timers: time.h, sys/timerfd.h.</summary>
public static unsafe partial class Libc
{
    /// <summary>Reads a clock through the vDSO: short enough to run without leaving cooperative mode.</summary>
    [LibraryImport(Library)]
    [SuppressGCTransition]
    public static partial int clock_gettime(int clock, timespec* time);

    [LibraryImport(Library)]
    [SuppressGCTransition]
    public static partial int clock_getres(int clock, timespec* resolution);

    /// <summary>Sleeps; answers an error number (not -1), EINTR included.</summary>
    [LibraryImport(Library)]
    public static partial int clock_nanosleep(int clock, int flags, timespec* request, timespec* remaining);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int timerfd_create(int clock, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int timerfd_settime(int fd, int flags, itimerspec* value, itimerspec* oldValue);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int timerfd_gettime(int fd, itimerspec* value);
}
