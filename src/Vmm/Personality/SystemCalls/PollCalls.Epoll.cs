using System.Buffers;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// epoll(7).
static partial class PollCalls
{
    /// <summary>Events handed over by one call at most; the rest stay ready for the next.</summary>
    private const int MaximumBatch = GuestThread.TransferSize / 12;

    private static void RegisterEpoll(SystemCallTable table)
    {
        table.Add(SYS_epoll_create, "epoll_create", EpollCreate, "int");
        table.Add(SYS_epoll_create1, "epoll_create1", EpollCreate1, "flags:EPOLL");
        table.Add(SYS_epoll_ctl, "epoll_ctl", EpollCtl, "fd flags:EPOLL_CTL fd ptr");
        table.Add(SYS_epoll_wait, "epoll_wait", EpollWait, "fd ptr int int");
        table.Add(SYS_epoll_pwait, "epoll_pwait", EpollPwait, "fd ptr int int ptr size");
        table.Add(SYS_epoll_pwait2, "epoll_pwait2", EpollPwait2, "fd ptr int timespec ptr size");
    }

    private static long EpollCreate(GuestThread thread, in SystemCallArguments a) =>
        a.Int0 <= 0 ? -EINVAL : EpollCreate(thread, 0);

    private static long EpollCreate1(GuestThread thread, in SystemCallArguments a) => EpollCreate(thread, a.Int0);

    private static long EpollCreate(GuestThread thread, int flags)
    {
        if ((flags & ~EPOLL_CLOEXEC) != 0)
            return -EINVAL;
        LinuxPersonality personality = thread.Personality;
        if (!personality.KernelMemory.TryReserve(KernelMemory.ObjectCost))
            return -ENFILE;
        EpollFile file = new(
            personality.KernelMemory, personality.CreateInode(thread, AnonymousDevices.Anonymous),
            personality.EpollNesting);
        return InputOutputCalls.Install(thread, file, (flags & EPOLL_CLOEXEC) != 0);
    }

    private static long EpollCtl(GuestThread thread, in SystemCallArguments a)
    {
        epoll_event wanted = default;
        if (a.Int1 != EPOLL_CTL_DEL && !thread.Memory.TryRead(new VirtualAddress(a.A3), out wanted))
            return -EFAULT;
        OpenFile? set = thread.Descriptors.Acquire(a.Int0);
        OpenFile? file = thread.Descriptors.Acquire(a.Int2);
        long result = set is null || file is null || ((set.StatusFlags | file.StatusFlags) & O_PATH) != 0
            ? -EBADF
            : EpollCtl(thread, set, a.Int1, file, a.Int2, wanted);
        set?.Release();
        file?.Release();
        return result;
    }

    private static long EpollCtl(
        GuestThread thread, OpenFile set, int operation, OpenFile file, int descriptor, in epoll_event wanted)
    {
        if (file.GetWaiters(thread) is null)
            return -EPERM;
        if (set == file || set is not EpollFile epoll)
            return -EINVAL;
        if (operation != EPOLL_CTL_DEL && (wanted.events & EPOLLEXCLUSIVE) != 0 && !MayBeExclusive(wanted.events))
            return -EINVAL;
        return operation switch
        {
            EPOLL_CTL_ADD => epoll.Add(thread, file, descriptor, wanted),
            EPOLL_CTL_MOD => epoll.Modify(thread, file, descriptor, wanted),
            EPOLL_CTL_DEL => epoll.Remove(file, descriptor),
            _ => -EINVAL,
        };
    }

    private static bool MayBeExclusive(uint events) =>
        (events & ~(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)) == 0;

    private static long EpollWait(GuestThread thread, in SystemCallArguments a) =>
        EpollWait(thread, a.Int0, a.A1, a.Int2, Timeouts.FromMilliseconds(a.Int3));

    private static long EpollPwait(GuestThread thread, in SystemCallArguments a) =>
        EpollPwait(thread, a, Timeouts.FromMilliseconds(a.Int3));

    private static long EpollPwait2(GuestThread thread, in SystemCallArguments a)
    {
        long error = Timeouts.TryReadTimespec(thread.Memory, a.A3, out long deadline);
        return error != 0 ? error : EpollPwait(thread, a, deadline);
    }

    private static long EpollPwait(GuestThread thread, in SystemCallArguments a, long deadline)
    {
        long error = TryReadMask(thread, a.A4, a.A5, out ulong mask);
        if (error != 0)
            return error;
        if (a.A4 != 0)
            thread.BeginTemporaryMask(mask);
        long result = EpollWait(thread, a.Int0, a.A1, a.Int2, deadline);
        if (a.A4 != 0)
            thread.EndTemporaryMask(interrupted: result == -EINTR);
        return result;
    }

    private static long EpollWait(GuestThread thread, int descriptor, ulong address, int maximum, long deadline)
    {
        if (maximum <= 0 || maximum > int.MaxValue / 12)
            return -EINVAL;
        if (!GuestBuffers.IsUserRange(address, (ulong)maximum * 12))
            return -EFAULT;
        OpenFile? file = thread.Descriptors.Acquire(descriptor);
        if (file is null)
            return -EBADF;
        long result = file is EpollFile epoll
            ? EpollWait(thread, epoll, new VirtualAddress(address), Math.Min(maximum, MaximumBatch), deadline)
            : -EINVAL;
        file.Release();
        return result;
    }

    private static long EpollWait(
        GuestThread thread, EpollFile epoll, VirtualAddress address, int maximum, long deadline)
    {
        Span<byte> bytes = thread.TransferBuffer.AsSpan(0, maximum * 12);
        Span<epoll_event> events = MemoryMarshal.Cast<byte, epoll_event>(bytes);
        int count = epoll.Harvest(thread, events);
        if (count == 0 && deadline != 0)
        {
            using Blocking wait = new(thread, epoll.Waiters!, PollEvents.Readable);
            while ((count = epoll.Harvest(thread, events)) == 0)
            {
                long slept = wait.Sleep(deadline);
                if (slept == -ETIMEDOUT)
                    break;
                // Never restarted: the timeout would begin anew.
                if (slept != 0)
                    return slept == Restart.AtExit ? slept : -EINTR;
            }
        }
        if (count == 0)
            return 0;
        return thread.Memory.TryWrite(address, bytes[..(count * 12)]) ? count : -EFAULT;
    }
}
