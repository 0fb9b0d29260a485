using Sandbox.Vmm.Memory;
using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// fcntl and ioctl: what holds for every file is answered here, the rest by the file.
static partial class InputOutputCalls
{
    /// <summary>What F_SETFL may change. O_ASYNC and O_DIRECT are accepted and have no effect.</summary>
    private const int ChangeableFlags = O_APPEND | O_NONBLOCK | O_NOATIME;

    private static void RegisterControl(SystemCallTable table)
    {
        table.Add(SYS_fcntl, "fcntl", Fcntl, "fd flags:F hex");
        table.Add(SYS_ioctl, "ioctl", Ioctl, "fd flags:IOCTL hex");
    }

    private static long Fcntl(GuestThread thread, in SystemCallArguments a)
    {
        OpenFile? file = thread.Descriptors.Acquire(a.Int0);
        if (file is null)
            return -EBADF;
        long result = Fcntl(thread, file, a.Int0, a.Int1, a.A2);
        file.Release();
        return result;
    }

    private static long Fcntl(GuestThread thread, OpenFile file, int descriptor, int command, ulong argument)
    {
        switch (command)
        {
            case F_DUPFD:
            case F_DUPFD_CLOEXEC:
                if ((uint)argument >= (uint)DescriptorLimit(thread))
                    return -EINVAL;
                return file.TryAcquire()
                    ? Install(thread, file, command == F_DUPFD_CLOEXEC, (int)argument)
                    : -EBADF;
            case F_GETFD:
                return thread.Descriptors.GetFlags(descriptor);
            case F_SETFD:
                return thread.Descriptors.SetCloseOnExec(descriptor, (argument & FD_CLOEXEC) != 0);
            case F_GETFL:
                return file.StatusFlags;
        }
        if ((file.StatusFlags & O_PATH) != 0)
            return -EBADF;

        switch (command)
        {
            case F_SETFL:
                file.StatusFlags = (file.StatusFlags & ~ChangeableFlags) | ((int)argument & ChangeableFlags);
                return 0;
            case F_GETOWN:
                return PresentOwner(thread, file.SignalOwner);
            case F_SETOWN:
                int who = (int)argument;
                if (who == int.MinValue)
                    return -EINVAL;
                return SetOwner(thread, file, who);
            case F_GETOWN_EX:
                f_owner_ex owner = new()
                {
                    type = file.SignalOwner < 0 ? F_OWNER_PGRP : F_OWNER_PID,
                    pid = Math.Abs(PresentOwner(thread, file.SignalOwner)),
                };
                return thread.Memory.TryWrite(new VirtualAddress(argument), owner) ? 0 : -EFAULT;
            case F_SETOWN_EX:
                if (!thread.Memory.TryRead(new VirtualAddress(argument), out owner))
                    return -EFAULT;
                if (owner.type is not (F_OWNER_TID or F_OWNER_PID or F_OWNER_PGRP))
                    return -EINVAL;
                if (owner.pid < 0)
                    return -ESRCH;
                return SetOwner(thread, file, owner.type == F_OWNER_PGRP ? -owner.pid : owner.pid);
            case F_GETSIG:
                return 0;
            case F_SETSIG:
                return argument <= 64 ? 0 : -EINVAL;
            default:
                return file.Control(thread, command, argument);
        }
    }

    /// <summary>Any number in use will do, whatever it is the number of: what is not there now is nobody.</summary>
    private static long SetOwner(GuestThread thread, OpenFile file, int owner)
    {
        if (owner != 0 && PresentOwner(thread, owner) == 0 && PresentOwner(thread, -owner) == 0)
            return -ESRCH;
        file.SignalOwner = owner;
        return 0;
    }

    /// <summary>The owner, or 0 when there is no such thread, process or group any more.</summary>
    private static int PresentOwner(GuestThread thread, int owner)
    {
        LinuxPersonality personality = thread.Personality;
        bool isPresent = owner < 0
            ? personality.FindGroup(-owner) is not null
            : personality.FindThread(owner) is not null || personality.FindProcess(owner) is not null;
        return isPresent ? owner : 0;
    }

    private static long Ioctl(GuestThread thread, in SystemCallArguments a)
    {
        OpenFile? file = AcquireAny(thread, a.Int0);
        if (file is null)
            return -EBADF;
        long result = Ioctl(thread, file, a.Int0, (uint)a.A1, a.A2);
        file.Release();
        return result;
    }

    private static long Ioctl(GuestThread thread, OpenFile file, int descriptor, uint request, ulong argument)
    {
        switch (request)
        {
            case FIOCLEX:
                return thread.Descriptors.SetCloseOnExec(descriptor, true);
            case FIONCLEX:
                return thread.Descriptors.SetCloseOnExec(descriptor, false);
            case FIONBIO:
                if (!thread.Memory.TryRead(new VirtualAddress(argument), out int on))
                    return -EFAULT;
                file.StatusFlags = on != 0 ? file.StatusFlags | O_NONBLOCK : file.StatusFlags & ~O_NONBLOCK;
                return 0;
            case FIOASYNC:
                return thread.Memory.TryRead(new VirtualAddress(argument), out int _) ? 0 : -EFAULT;
            default:
                return file.Ioctl(thread, request, argument);
        }
    }
}
