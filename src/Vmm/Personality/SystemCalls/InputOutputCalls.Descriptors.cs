using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Descriptors themselves: close, dup and their relatives.
static partial class InputOutputCalls
{
    private static void RegisterDescriptors(SystemCallTable table)
    {
        table.Add(SYS_close, "close", Close, "fd");
        table.Add(SYS_close_range, "close_range", CloseRange, "fd fd flags:CLOSE_RANGE");
        table.Add(SYS_dup, "dup", Dup, "fd");
        table.Add(SYS_dup2, "dup2", Dup2, "fd fd");
        table.Add(SYS_dup3, "dup3", Dup3, "fd fd flags:fdflags");
    }

    /// <summary>RLIMIT_NOFILE as a bound on new descriptors.</summary>
    private static int DescriptorLimit(GuestThread thread) =>
        (int)Math.Min(thread.Process.Limits.Soft(RLIMIT_NOFILE), (ulong)thread.Descriptors.Limit);

    /// <summary>Gives the caller's reference to the lowest free descriptor; releases it on failure.</summary>
    public static long Install(GuestThread thread, OpenFile file, bool closeOnExec, int minimum = 0)
    {
        int descriptor = thread.Descriptors.Add(file, closeOnExec, minimum, DescriptorLimit(thread));
        if (descriptor < 0)
            file.Release();
        return descriptor;
    }

    /// <summary>A descriptor for what is still to be opened: without one nothing is done.</summary>
    public readonly ref struct Reservation(DescriptorTable table, int descriptor)
    {
        /// <summary>Gives the caller's reference to the descriptor, or that back when opening failed.</summary>
        /// <param name="result">What opening came to: negative without a file.</param>
        public long Finish(long result, OpenFile? file, bool closeOnExec)
        {
            if (result < 0)
            {
                table.GiveBack(descriptor);
                return result;
            }
            table.Fill(descriptor, file!, closeOnExec);
            return descriptor;
        }
    }

    /// <returns>0 or -EMFILE. <see cref="Reservation.Finish"/> follows in any case but that.</returns>
    public static long Reserve(GuestThread thread, out Reservation reservation)
    {
        DescriptorTable table = thread.Descriptors;
        int descriptor = table.Reserve(DescriptorLimit(thread));
        reservation = new(table, descriptor);
        return Math.Min(descriptor, 0);
    }

    private static long Close(GuestThread thread, in SystemCallArguments a) =>
        thread.Descriptors.Close(thread.Process, a.Int0);

    private static long CloseRange(GuestThread thread, in SystemCallArguments a)
    {
        uint first = (uint)a.A0, last = (uint)a.A1;
        int flags = a.Int2;
        if ((flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) != 0 || first > last)
            return -EINVAL;
        if (first > int.MaxValue)
            return 0;
        if ((flags & CLOSE_RANGE_UNSHARE) != 0 && thread.Descriptors.IsShared)
        {
            DescriptorTable shared = thread.Descriptors;
            thread.Process.Descriptors = shared.Copy();
            shared.Release(thread.Process);
        }
        int end = (int)Math.Min(last, int.MaxValue);
        if ((flags & CLOSE_RANGE_CLOEXEC) != 0)
            thread.Descriptors.SetCloseOnExecRange((int)first, end);
        else
            thread.Descriptors.CloseRange(thread.Process, (int)first, end, onlyCloseOnExec: false);
        return 0;
    }

    private static long Dup(GuestThread thread, in SystemCallArguments a)
    {
        OpenFile? file = thread.Descriptors.Acquire(a.Int0);
        return file is null ? -EBADF : Install(thread, file, closeOnExec: false);
    }

    private static long Dup2(GuestThread thread, in SystemCallArguments a)
    {
        if (a.Int0 == a.Int1)
            return thread.Descriptors.GetFlags(a.Int0) < 0 ? -EBADF : a.Int1;
        return Duplicate(thread, a.Int0, a.Int1, closeOnExec: false);
    }

    private static long Dup3(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int2 & ~O_CLOEXEC) != 0 || a.Int0 == a.Int1)
            return -EINVAL;
        return Duplicate(thread, a.Int0, a.Int1, (a.Int2 & O_CLOEXEC) != 0);
    }

    private static long Duplicate(GuestThread thread, int from, int to, bool closeOnExec)
    {
        if ((uint)to >= (uint)DescriptorLimit(thread))
            return -EBADF;
        OpenFile? file = thread.Descriptors.Acquire(from);
        if (file is null)
            return -EBADF;
        long result = thread.Descriptors.Replace(thread.Process, to, file, closeOnExec);
        if (result < 0)
            file.Release();
        return result;
    }
}
