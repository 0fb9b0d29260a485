using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>mmap(2) and its family. The rules of memory itself are <see cref="AddressSpace"/>'s.</summary>
static class MemoryCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_mmap, "mmap", Mmap, "ptr size flags:PROT flags:MAP fd offset");
        table.Add(SYS_munmap, "munmap", Munmap, "ptr size");
        table.Add(SYS_mprotect, "mprotect", Mprotect, "ptr size flags:PROT");
        table.Add(SYS_mremap, "mremap", Mremap, "ptr size size flags:MREMAP ptr");
        table.Add(SYS_madvise, "madvise", Madvise, "ptr size int");
        table.Add(SYS_brk, "brk", Brk, "ptr");
        table.Add(SYS_mincore, "mincore", Mincore, "ptr size ptr");
        table.Add(SYS_msync, "msync", Msync, "ptr size int");
        table.Add(SYS_mlock, "mlock", Mlock, "ptr size");
        table.Add(SYS_mlock2, "mlock2", Mlock, "ptr size int");
        table.Add(SYS_munlock, "munlock", Mlock, "ptr size");
        table.Add(SYS_mlockall, "mlockall", Nothing, "int");
        table.Add(SYS_munlockall, "munlockall", Nothing, "");
        table.Add(SYS_membarrier, "membarrier", Membarrier, "int int int", atExit: true);
        table.Add(SYS_pkey_alloc, "pkey_alloc", NoKeys, "uint hex");
        table.Add(SYS_pkey_free, "pkey_free", NoKeys, "int");
        table.Add(SYS_pkey_mprotect, "pkey_mprotect", PkeyMprotect, "ptr size flags:PROT int");
        table.Add(SYS_process_madvise, "process_madvise", NotPermitted, "fd ptr size int uint");
        table.Add(SYS_remap_file_pages, "remap_file_pages", NotServed, "ptr size int size int");
    }

    private static long Mmap(GuestThread thread, in SystemCallArguments a)
    {
        const int Known = PROT_READ | PROT_WRITE | PROT_EXEC;
        int flags = a.Int3;
        int type = flags & MAP_TYPE;
        if (type is not (MAP_SHARED or MAP_PRIVATE or MAP_SHARED_VALIDATE))
            return -EINVAL;
        Protection protection = (Protection)(a.Int2 & Known);
        if (ExceedsLimit(thread, a.A1))
            return -ENOMEM;
        if ((flags & MAP_ANONYMOUS) != 0)
            return thread.Memory.Map(new VirtualAddress(a.A0), a.A1, protection, flags, null, 0);
        OpenFile? file = thread.Descriptors.Acquire(a.Int4);
        if (file is null)
            return -EBADF;
        try
        {
            if ((file.StatusFlags & O_PATH) != 0)
                return -EBADF;
            if (!file.CanRead)
                return -EACCES;
            if (type != MAP_PRIVATE && (protection & Protection.Write) != 0 && !file.CanWrite)
                return -EACCES;
            return file.Mappable is { } backing
                ? thread.Memory.Map(new VirtualAddress(a.A0), a.A1, protection, flags, backing, a.A5, mayWrite: file.CanWrite)
                : -ENODEV;
        }
        finally
        {
            file.Release();
        }
    }

    /// <summary>RLIMIT_AS.</summary>
    private static bool ExceedsLimit(GuestThread thread, ulong growth)
    {
        ulong limit = thread.Process.Limits.Soft(RLIMIT_AS);
        return limit != ResourceLimits.Infinity
            && (growth > limit || thread.Memory.Usage.Mapped > limit - growth);
    }

    private static long Munmap(GuestThread thread, in SystemCallArguments a) =>
        thread.Memory.Unmap(new VirtualAddress(a.A0), a.A1);

    private static long Mprotect(GuestThread thread, in SystemCallArguments a)
    {
        const int Grow = PROT_GROWSDOWN | PROT_GROWSUP;
        if ((a.Int2 & ~(PROT_READ | PROT_WRITE | PROT_EXEC | Grow)) != 0 || (a.Int2 & Grow) == Grow)
            return -EINVAL;
        return thread.Memory.Protect(new VirtualAddress(a.A0), a.A1, (Protection)(a.Int2 & ~Grow));
    }

    private static long PkeyMprotect(GuestThread thread, in SystemCallArguments a) =>
        a.Int3 == -1 ? Mprotect(thread, a) : -EINVAL;

    private static long Mremap(GuestThread thread, in SystemCallArguments a) =>
        a.A2 > a.A1 && ExceedsLimit(thread, a.A2 - a.A1) ? -ENOMEM : thread.Memory.Remap(new VirtualAddress(a.A0), a.A1, a.A2, a.Int3, new VirtualAddress(a.A4));

    private static long Madvise(GuestThread thread, in SystemCallArguments a) =>
        thread.Memory.Advise(new VirtualAddress(a.A0), a.A1, a.Int2);

    private static long Brk(GuestThread thread, in SystemCallArguments a) => (long)thread.Memory.SetBreak(a.A0);

    private static long Mincore(GuestThread thread, in SystemCallArguments a)
    {
        const int Batch = 4096;
        if (!Page.IsAligned(a.A0))
            return -EINVAL;
        ulong pages = Page.RoundUp(a.A1) / Page.Size;
        if (a.A1 != 0 && (pages == 0 || a.A0 + (pages * Page.Size) < a.A0))
            return -ENOMEM;
        Span<byte> residency = stackalloc byte[Batch];
        for (ulong done = 0; done < pages;)
        {
            Span<byte> part = residency[..(int)Math.Min(Batch, pages - done)];
            if (!thread.Memory.TryGetResidency(new VirtualAddress(a.A0 + (done * Page.Size)), part))
                return -ENOMEM;
            if (!thread.Memory.TryWrite(new VirtualAddress(a.A2 + done), part))
                return -EFAULT;
            done += (ulong)part.Length;
        }
        return 0;
    }

    private static long Msync(GuestThread thread, in SystemCallArguments a) =>
        thread.Memory.Synchronize(new VirtualAddress(a.A0), a.A1, a.Int2);

    /// <summary>Nothing is ever swapped out by the VMM, so every page counts as locked.</summary>
    private static long Mlock(GuestThread thread, in SystemCallArguments a)
    {
        ulong start = Page.RoundDown(a.A0);
        ulong length = Page.RoundUp(a.A1 + (a.A0 - start));
        return length == 0 || thread.Memory.IsMapped(new VirtualAddress(start), length) ? 0 : -ENOMEM;
    }

    private static long Nothing(GuestThread thread, in SystemCallArguments a) => 0;

    /// <summary>
    /// A membarrier orders the threads of a process by interrupting each; here each is a processor, and calling it out
    /// of the guest is such a barrier.
    /// </summary>
    private static long Membarrier(GuestThread thread, in SystemCallArguments a)
    {
        const int Supported = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_PRIVATE_EXPEDITED
            | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
        if (a.Int1 != 0)
            return -EINVAL;
        switch (a.Int0)
        {
            case MEMBARRIER_CMD_QUERY:
                return Supported;
            case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
                return 0;
            case MEMBARRIER_CMD_GLOBAL or MEMBARRIER_CMD_PRIVATE_EXPEDITED:
                thread.Memory.InterruptOthers(thread.Cpu);
                return 0;
            default:
                return -EINVAL;
        }
    }

    private static long NoKeys(GuestThread thread, in SystemCallArguments a) => -ENOSPC;

    private static long NotPermitted(GuestThread thread, in SystemCallArguments a) => -EPERM;

    private static long NotServed(GuestThread thread, in SystemCallArguments a) => -ENOSYS;
}
