using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>
/// Calls on open descriptors whatever is behind them: read(2), write(2) and their relatives here; descriptors
/// themselves, control, and copies between descriptors in the other parts.
/// </summary>
static partial class InputOutputCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_read, "read", Read, "fd buf size");
        table.Add(SYS_write, "write", Write, "fd str size");
        table.Add(SYS_pread64, "pread64", Pread64, "fd buf size offset");
        table.Add(SYS_pwrite64, "pwrite64", Pwrite64, "fd str size offset");
        table.Add(SYS_readv, "readv", Readv, "fd ptr int");
        table.Add(SYS_writev, "writev", Writev, "fd ptr int");
        table.Add(SYS_preadv, "preadv", Preadv, "fd ptr int offset");
        table.Add(SYS_pwritev, "pwritev", Pwritev, "fd ptr int offset");
        table.Add(SYS_preadv2, "preadv2", Preadv2, "fd ptr int offset hex flags:RWF");
        table.Add(SYS_pwritev2, "pwritev2", Pwritev2, "fd ptr int offset hex flags:RWF");
        table.Add(SYS_lseek, "lseek", Lseek, "fd offset flags:SEEK");
        RegisterDescriptors(table);
        RegisterControl(table);
        RegisterCopies(table);
        RegisterObjects(table);
        RegisterTimers(table);
    }

    private static long Read(GuestThread thread, in SystemCallArguments a) =>
        TransferBuffer(thread, a.Int0, a.A1, a.A2, Transfers.AtPosition, write: false);

    private static long Write(GuestThread thread, in SystemCallArguments a) =>
        TransferBuffer(thread, a.Int0, a.A1, a.A2, Transfers.AtPosition, write: true);

    private static long Pread64(GuestThread thread, in SystemCallArguments a) =>
        (long)a.A3 < 0 ? -EINVAL : TransferBuffer(thread, a.Int0, a.A1, a.A2, (long)a.A3, write: false);

    private static long Pwrite64(GuestThread thread, in SystemCallArguments a) =>
        (long)a.A3 < 0 ? -EINVAL : TransferBuffer(thread, a.Int0, a.A1, a.A2, (long)a.A3, write: true);

    private static long TransferBuffer(
        GuestThread thread, int descriptor, ulong address, ulong length, long offset, bool write)
    {
        long error = Acquire(thread, descriptor, write, out OpenFile file);
        if (error != 0)
            return error;
        long result = GuestBuffers.TryCreate(thread.Memory, address, length, out GuestBuffers buffers);
        if (result == 0)
            result = write
                ? Transfers.Write(thread, file, ref buffers, offset, nonBlocking: false)
                : Transfers.Read(thread, file, ref buffers, offset, nonBlocking: false);
        FileWatches.Transferred(file, result, write);
        file.Release();
        return result;
    }

    private static long Readv(GuestThread thread, in SystemCallArguments a) =>
        TransferVector(thread, a.Int0, a.A1, a.A2, Transfers.AtPosition, flags: 0, write: false);

    private static long Writev(GuestThread thread, in SystemCallArguments a) =>
        TransferVector(thread, a.Int0, a.A1, a.A2, Transfers.AtPosition, flags: 0, write: true);

    // On x86-64 the offset is whole in the fourth argument; the fifth, for 32-bit callers, is not looked at.
    private static long Preadv(GuestThread thread, in SystemCallArguments a) =>
        (long)a.A3 < 0 ? -EINVAL : TransferVector(thread, a.Int0, a.A1, a.A2, (long)a.A3, flags: 0, write: false);

    private static long Pwritev(GuestThread thread, in SystemCallArguments a) =>
        (long)a.A3 < 0 ? -EINVAL : TransferVector(thread, a.Int0, a.A1, a.A2, (long)a.A3, flags: 0, write: true);

    private static long Preadv2(GuestThread thread, in SystemCallArguments a) =>
        (long)a.A3 < -1 ? -EINVAL : TransferVector(thread, a.Int0, a.A1, a.A2, (long)a.A3, a.Int5, write: false);

    private static long Pwritev2(GuestThread thread, in SystemCallArguments a) =>
        (long)a.A3 < -1 ? -EINVAL : TransferVector(thread, a.Int0, a.A1, a.A2, (long)a.A3, a.Int5, write: true);

    private static long TransferVector(
        GuestThread thread, int descriptor, ulong vector, ulong count, long offset, int flags, bool write)
    {
        long error = Acquire(thread, descriptor, write, out OpenFile file);
        if (error != 0)
            return error;
        long result = GuestBuffers.TryCreate(
            thread.Memory, vector, count, thread.VectorBuffer, out GuestBuffers buffers);
        if (result == 0)
            result = CheckTransferFlags(file, flags, write);
        if (result == 0)
        {
            bool nonBlocking = (flags & RWF_NOWAIT) != 0;
            result = write
                ? Transfers.Write(thread, file, ref buffers, offset, nonBlocking)
                : Transfers.Read(thread, file, ref buffers, offset, nonBlocking);
            FileWatches.Transferred(file, result, write);
            if (write && result > 0 && (flags & (RWF_DSYNC | RWF_SYNC)) != 0)
            {
                long synced = file.Synchronize(dataOnly: (flags & RWF_SYNC) == 0);
                if (synced < 0 && synced != -EINVAL)
                    result = synced;
            }
        }
        file.Release();
        return result;
    }

    /// <summary>RWF_*: what a file cannot honour is refused rather than ignored.</summary>
    private static long CheckTransferFlags(OpenFile file, int flags, bool write)
    {
        const int Known = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND;
        if ((flags & ~Known) != 0)
            return -EOPNOTSUPP;
        if ((flags & RWF_APPEND) != 0 && (!write || (file.StatusFlags & O_APPEND) == 0))
            return -EOPNOTSUPP;
        return 0;
    }

    private static long Lseek(GuestThread thread, in SystemCallArguments a)
    {
        OpenFile? file = AcquireAny(thread, a.Int0);
        if (file is null)
            return -EBADF;
        long result = (uint)a.A2 > SEEK_HOLE ? -EINVAL : file.Seek((long)a.A1, a.Int2);
        file.Release();
        return result;
    }

    /// <summary>A descriptor opened for this direction, or -EBADF.</summary>
    private static long Acquire(GuestThread thread, int descriptor, bool write, out OpenFile file)
    {
        file = thread.Descriptors.Acquire(descriptor)!;
        if (file is null)
            return -EBADF;
        if (write ? file.CanWrite : file.CanRead)
            return 0;
        file.Release();
        return -EBADF;
    }

    /// <summary>A descriptor that refers to more than a path (O_PATH), or null for -EBADF.</summary>
    public static OpenFile? AcquireAny(GuestThread thread, int descriptor)
    {
        OpenFile? file = thread.Descriptors.Acquire(descriptor);
        if (file is null || (file.StatusFlags & O_PATH) == 0)
            return file;
        file.Release();
        return null;
    }
}
