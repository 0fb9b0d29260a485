namespace Sandbox.Host;

/// <summary>Clocks and interval timers: linux/time.h, linux/timerfd.h.</summary>
public static unsafe partial class Libc
{
    public const int ITIMER_REAL = 0;
    public const int ITIMER_VIRTUAL = 1;
    public const int ITIMER_PROF = 2;
    public const int CLOCK_REALTIME = 0;
    public const int CLOCK_MONOTONIC = 1;
    public const int CLOCK_PROCESS_CPUTIME_ID = 2;
    public const int CLOCK_THREAD_CPUTIME_ID = 3;
    public const int CLOCK_MONOTONIC_RAW = 4;
    public const int CLOCK_REALTIME_COARSE = 5;
    public const int CLOCK_MONOTONIC_COARSE = 6;
    public const int CLOCK_BOOTTIME = 7;
    public const int CLOCK_REALTIME_ALARM = 8;
    public const int CLOCK_BOOTTIME_ALARM = 9;
    public const int CLOCK_SGI_CYCLE = 10;
    public const int CLOCK_TAI = 11;
    public const int MAX_CLOCKS = 16;
    public const int TIMER_ABSTIME = 0x1;

    public const int TFD_TIMER_ABSTIME = 0x1;
    public const int TFD_TIMER_CANCEL_ON_SET = 0x2;
    public const int TFD_CLOEXEC = 0x80000;
    public const int TFD_NONBLOCK = 0x800;
}
