using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Processes;

/// <summary>A pidfd (pidfd_open(2)): a process that stays named even when its pid is given to another.</summary>
sealed class PidFile(Process process, int flags) : OpenFile(flags)
{
    private const uint AnonymousInodeMode = 0x180;

    public Process Process { get; } = process;

    public override string DisplayName => "anon_inode:[pidfd]";

    public override PollEvents Poll() => Process.IsZombie ? PollEvents.Readable : PollEvents.None;

    public override WaitQueue? Waiters => Process.ExitWaiters;

    public override long GetStatus(out stat status)
    {
        status = new() { st_mode = AnonymousInodeMode, st_nlink = 1, st_blksize = Page.Size };
        return 0;
    }

    /// <summary>A descriptor for the process in the caller's table, or a negative errno.</summary>
    public static long Open(GuestThread thread, Process process, int flags)
    {
        PidFile file = new(process, O_RDWR | flags);
        // What is left of the process stays as long as the descriptor.
        long result = file.ChargeTo(thread.Personality.KernelMemory);
        if (result < 0)
        {
            file.Release();
            return result;
        }
        ulong softLimit = thread.Process.Limits.Soft(RLIMIT_NOFILE);
        int descriptor = thread.Descriptors.Add(
            file, closeOnExec: true, softLimit: (int)Math.Min(softLimit, int.MaxValue));
        if (descriptor < 0)
            file.Release();
        return descriptor;
    }

    /// <summary>CLONE_PIDFD: opens one and tells the guest its number. 0 or a negative errno.</summary>
    public static long Install(GuestThread thread, Process process, ulong address)
    {
        long descriptor = Open(thread, process, 0);
        if (descriptor < 0)
            return descriptor;
        if (thread.Memory.TryWrite(new VirtualAddress(address), (int)descriptor))
            return 0;
        thread.Descriptors.Close(thread.Process, (int)descriptor);
        return -EFAULT;
    }
}
