using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Time;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// timerfd and signalfd.
static partial class InputOutputCalls
{
    private static void RegisterTimers(SystemCallTable table)
    {
        table.Add(SYS_timerfd_create, "timerfd_create", TimerFdCreate, "flags:CLOCK flags:TFD");
        table.Add(SYS_timerfd_settime, "timerfd_settime", TimerFdSetTime, "fd flags:TFD_TIMER ptr ptr");
        table.Add(SYS_timerfd_gettime, "timerfd_gettime", TimerFdGetTime, "fd ptr");
        table.Add(SYS_signalfd, "signalfd", SignalFd, "fd ptr size");
        table.Add(SYS_signalfd4, "signalfd4", SignalFd4, "fd ptr size flags:SFD");
    }

    private static long TimerFdCreate(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int1 & ~(TFD_CLOEXEC | TFD_NONBLOCK)) != 0)
            return -EINVAL;
        switch (a.Int0)
        {
            case CLOCK_REALTIME:
            case CLOCK_MONOTONIC:
            case CLOCK_BOOTTIME:
                break;
            case CLOCK_REALTIME_ALARM:
            case CLOCK_BOOTTIME_ALARM:
                return -EPERM;
            default:
                return -EINVAL;
        }
        LinuxPersonality personality = thread.Personality;
        if (!personality.KernelMemory.TryReserve(KernelMemory.ObjectCost))
            return -ENFILE;
        TimerFile file = new(
            personality.KernelMemory, personality.CreateInode(thread, AnonymousDevices.Anonymous), personality.Timers,
            personality.Clock, a.Int0, a.Int1);
        return Install(thread, file, (a.Int1 & TFD_CLOEXEC) != 0);
    }

    private static long TimerFdSetTime(GuestThread thread, in SystemCallArguments a)
    {
        if (!thread.Memory.TryRead(new VirtualAddress(a.A2), out itimerspec wanted))
            return -EFAULT;
        if ((a.Int1 & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) != 0
            || !GuestClock.TryToNanoseconds(wanted.it_value, out long value)
            || !GuestClock.TryToNanoseconds(wanted.it_interval, out long interval))
            return -EINVAL;
        long result = AcquireTimer(thread, a.Int0, out TimerFile? timer);
        if (result != 0)
            return result;
        bool absolute = (a.Int1 & TFD_TIMER_ABSTIME) != 0;
        result = timer!.Set(value, interval, absolute, out long oldValue, out long oldInterval);
        timer.Release();
        if (result != 0 || a.A3 == 0)
            return result;
        return WriteTimes(thread, a.A3, oldValue, oldInterval);
    }

    private static long TimerFdGetTime(GuestThread thread, in SystemCallArguments a)
    {
        long result = AcquireTimer(thread, a.Int0, out TimerFile? timer);
        if (result != 0)
            return result;
        (long value, long interval) = timer!.Get();
        timer.Release();
        return WriteTimes(thread, a.A1, value, interval);
    }

    private static long WriteTimes(GuestThread thread, ulong address, long value, long interval)
    {
        itimerspec times = new()
        {
            it_value = GuestClock.ToTimespec(value),
            it_interval = GuestClock.ToTimespec(interval),
        };
        return thread.Memory.TryWrite(new VirtualAddress(address), times) ? 0 : -EFAULT;
    }

    private static long AcquireTimer(GuestThread thread, int descriptor, out TimerFile? timer)
    {
        OpenFile? file = AcquireAny(thread, descriptor);
        timer = file as TimerFile;
        if (timer is not null)
            return 0;
        file?.Release();
        return file is null ? -EBADF : -EINVAL;
    }

    private static long SignalFd(GuestThread thread, in SystemCallArguments a) =>
        SignalFd(thread, a.Int0, a.A1, a.A2, 0);

    private static long SignalFd4(GuestThread thread, in SystemCallArguments a) =>
        SignalFd(thread, a.Int0, a.A1, a.A2, a.Int3);

    private static long SignalFd(GuestThread thread, int descriptor, ulong address, ulong size, int flags)
    {
        if (size != sizeof(ulong))
            return -EINVAL;
        if (!thread.Memory.TryRead(new VirtualAddress(address), out ulong mask))
            return -EFAULT;
        if ((flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) != 0)
            return -EINVAL;
        if (descriptor != -1)
            return ChangeSignalMask(thread, descriptor, mask);

        LinuxPersonality personality = thread.Personality;
        if (!personality.KernelMemory.TryReserve(KernelMemory.ObjectCost))
            return -ENFILE;
        SignalFile file = new(
            personality.KernelMemory, personality.CreateInode(thread, AnonymousDevices.Anonymous), mask, flags);
        return Install(thread, file, (flags & SFD_CLOEXEC) != 0);
    }

    private static long ChangeSignalMask(GuestThread thread, int descriptor, ulong mask)
    {
        OpenFile? file = AcquireAny(thread, descriptor);
        if (file is null)
            return -EBADF;
        long result = -EINVAL;
        if (file is SignalFile signals)
        {
            signals.Mask = mask;
            result = descriptor;
            // Readers that wait may want what is pending already.
            thread.Process.SignalWaiters.Notify(Waiting.PollEvents.Readable);
        }
        file.Release();
        return result;
    }
}
