using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>System V shared memory: shmget(2) and its family. Semaphores and queues there are none.</summary>
static class SegmentCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_shmget, "shmget", Shmget, "int size hex");
        table.Add(SYS_shmat, "shmat", Shmat, "int ptr hex");
        table.Add(SYS_shmdt, "shmdt", Shmdt, "ptr");
        table.Add(SYS_shmctl, "shmctl", Shmctl, "int int ptr");
    }

    private static long Shmget(GuestThread thread, in SystemCallArguments a) =>
        thread.Personality.Segments.Get(thread, a.Int0, a.A1, a.Int2);

    private static long Shmat(GuestThread thread, in SystemCallArguments a) =>
        thread.Personality.Segments.Attach(thread, a.Int0, a.A1, a.Int2);

    private static long Shmdt(GuestThread thread, in SystemCallArguments a) =>
        thread.Personality.Segments.Detach(thread, a.A0);

    private static long Shmctl(GuestThread thread, in SystemCallArguments a)
    {
        int id = a.Int0;
        VirtualAddress address = new(a.A2);
        switch (a.Int1)
        {
            case IPC_STAT:
                long result = thread.Personality.Segments.Describe(thread, id, out shmid64_ds status);
                return result == 0 && !thread.Memory.TryWrite(address, status) ? -EFAULT : result;
            case IPC_SET:
                return thread.Memory.TryRead(address, out shmid64_ds wanted)
                    ? thread.Personality.Segments.Change(thread, id, wanted.shm_perm)
                    : -EFAULT;
            case IPC_RMID:
                return thread.Personality.Segments.Change(thread, id, null);
            // Nothing is ever swapped out by the VMM.
            case SHM_LOCK or SHM_UNLOCK:
                return thread.Personality.Segments.Describe(thread, id, out _);
            default:
                return -EINVAL;
        }
    }
}
