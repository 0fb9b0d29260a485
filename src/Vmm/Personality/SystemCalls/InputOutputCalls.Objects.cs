using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Calls that make kernel objects: pipes and eventfds.
static partial class InputOutputCalls
{
    private static void RegisterObjects(SystemCallTable table)
    {
        table.Add(SYS_pipe, "pipe", MakePipe, "fds_out");
        table.Add(SYS_pipe2, "pipe2", MakePipe2, "fds_out flags:fdflags");
        table.Add(SYS_eventfd, "eventfd", EventFd, "uint");
        table.Add(SYS_eventfd2, "eventfd2", EventFd2, "uint flags:EFD");
    }

    private static long MakePipe(GuestThread thread, in SystemCallArguments a) => MakePipe(thread, a.A0, 0);

    private static long MakePipe2(GuestThread thread, in SystemCallArguments a) => MakePipe(thread, a.A0, a.Int1);

    private static long MakePipe(GuestThread thread, ulong address, int flags)
    {
        // Packet mode (O_DIRECT) is refused, as by kernels built without it.
        if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) != 0)
            return -EINVAL;
        Pipe? pipe = Pipe.TryCreate(thread.Personality.KernelMemory);
        if (pipe is null)
            return -ENFILE;
        AnonymousInode inode = thread.Personality.CreateInode(thread, AnonymousDevices.Pipes, references: 2);
        PipeEnd reader = new(pipe, O_RDONLY | (flags & O_NONBLOCK), inode);
        PipeEnd writer = new(pipe, O_WRONLY | (flags & O_NONBLOCK), inode);
        return InstallPair(thread, reader, writer, address, (flags & O_CLOEXEC) != 0);
    }

    /// <summary>Puts two files at new descriptors and tells the guest; on failure neither remains.</summary>
    public static long InstallPair(GuestThread thread, OpenFile first, OpenFile second, ulong address, bool closeOnExec)
    {
        long left = Install(thread, first, closeOnExec);
        if (left < 0)
        {
            second.Release();
            return left;
        }
        long right = Install(thread, second, closeOnExec);
        if (right < 0)
        {
            thread.Descriptors.Close(thread.Process, (int)left);
            return right;
        }
        if (thread.Memory.TryWrite(new VirtualAddress(address), (ulong)left | (ulong)right << 32))
            return 0;
        thread.Descriptors.Close(thread.Process, (int)left);
        thread.Descriptors.Close(thread.Process, (int)right);
        return -EFAULT;
    }

    private static long EventFd(GuestThread thread, in SystemCallArguments a) => EventFd(thread, (uint)a.A0, 0);

    private static long EventFd2(GuestThread thread, in SystemCallArguments a) => EventFd(thread, (uint)a.A0, a.Int1);

    private static long EventFd(GuestThread thread, uint initial, int flags)
    {
        if ((flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) != 0)
            return -EINVAL;
        KernelMemory memory = thread.Personality.KernelMemory;
        if (!memory.TryReserve(KernelMemory.ObjectCost))
            return -ENFILE;
        AnonymousInode inode = thread.Personality.CreateInode(thread, AnonymousDevices.Anonymous);
        EventFile file = new(memory, inode, initial, flags);
        return Install(thread, file, (flags & EFD_CLOEXEC) != 0);
    }
}
