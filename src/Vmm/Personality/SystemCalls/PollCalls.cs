using System.Buffers;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>Waiting for several files: poll(2) and select(2) here, epoll(7) in the other part.</summary>
static partial class PollCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_poll, "poll", Poll, "ptr uint int");
        table.Add(SYS_ppoll, "ppoll", Ppoll, "ptr uint timespec ptr size");
        table.Add(SYS_select, "select", Select, "int ptr ptr ptr ptr");
        table.Add(SYS_pselect6, "pselect6", Pselect6, "int ptr ptr ptr timespec ptr");
        RegisterEpoll(table);
    }

    private static long Poll(GuestThread thread, in SystemCallArguments a) =>
        Poll(thread, a.A0, (uint)a.A1, Timeouts.FromMilliseconds(a.Int2));

    private static long Poll(GuestThread thread, ulong address, uint count, long deadline)
    {
        long result = PollDescriptors(thread, address, count, deadline);
        if (result != Restart.System)
            return result;
        thread.RestartState = new RestartState { Address = address, Value = count, Deadline = deadline };
        thread.RestartFunction = s_continuePoll;
        return Restart.Block;
    }

    private static readonly Func<GuestThread, long> s_continuePoll = static thread =>
        Poll(thread, thread.RestartState.Address, thread.RestartState.Value, thread.RestartState.Deadline);

    private static long Ppoll(GuestThread thread, in SystemCallArguments a)
    {
        long error = Timeouts.TryReadTimespec(thread.Memory, a.A2, out long deadline);
        if (error != 0)
            return error;
        error = TryReadMask(thread, a.A3, a.A4, out ulong mask);
        if (error != 0)
            return error;

        if (a.A3 != 0)
            thread.BeginTemporaryMask(mask);
        long result = PollDescriptors(thread, a.A0, (uint)a.A1, deadline);
        if (result == Restart.System)
            result = Restart.NoHandler;
        if (a.A3 != 0)
            thread.EndTemporaryMask(interrupted: result == Restart.NoHandler);
        Timeouts.WriteBackTimespec(thread.Memory, a.A2, deadline);
        return result;
    }

    private static long PollDescriptors(GuestThread thread, ulong address, uint count, long deadline)
    {
        if (count > Math.Min(thread.Process.Limits.Soft(RLIMIT_NOFILE), (ulong)thread.Descriptors.Limit))
            return -EINVAL;
        int size = (int)count * Marshal.SizeOf<pollfd>();
        bool isLarge = size > GuestThread.TransferSize;
        PollSet set = thread.PollSet;
        if (isLarge && !set.TryReserve(size))
            return -ENOMEM;
        byte[]? rented = isLarge ? ArrayPool<byte>.Shared.Rent(size) : null;
        Span<byte> bytes = (rented ?? thread.TransferBuffer).AsSpan(0, size);
        long result = PollDescriptors(thread, set, new VirtualAddress(address), bytes, deadline);
        set.Clear();
        if (rented is not null)
            ArrayPool<byte>.Shared.Return(rented);
        return result;
    }

    private static long PollDescriptors(
        GuestThread thread, PollSet set, VirtualAddress address, Span<byte> bytes, long deadline)
    {
        if (bytes.Length > 0 && !thread.Memory.TryRead(address, bytes))
            return -EFAULT;
        Span<pollfd> descriptors = MemoryMarshal.Cast<byte, pollfd>(bytes);
        foreach (ref pollfd descriptor in descriptors)
            if (!set.TryAdd(descriptor.fd, (PollEvents)(ushort)descriptor.events))
                return -ENOMEM;
        long result = set.Wait(deadline);
        for (int i = 0; i < descriptors.Length; i++)
            descriptors[i].revents = (short)set.Ready(i);
        if (result >= 0 && bytes.Length > 0 && !thread.Memory.TryWrite(address, bytes))
            return -EFAULT;
        return result;
    }

    private static long Select(GuestThread thread, in SystemCallArguments a)
    {
        long error = Timeouts.TryReadTimeval(thread.Memory, a.A4, out long deadline);
        if (error != 0)
            return error;
        long result = SelectDescriptors(thread, a.Int0, a.A1, a.A2, a.A3, deadline);
        if (result == Restart.System)
            result = Restart.NoHandler;
        Timeouts.WriteBackTimeval(thread.Memory, a.A4, deadline);
        return result;
    }

    private static long Pselect6(GuestThread thread, in SystemCallArguments a)
    {
        // The sixth argument points to the mask's address and size.
        ulong maskAddress = 0, maskSize = 0;
        if (a.A5 != 0)
        {
            Span<ulong> words = stackalloc ulong[2];
            if (!thread.Memory.TryRead(new VirtualAddress(a.A5), MemoryMarshal.AsBytes(words)))
                return -EFAULT;
            (maskAddress, maskSize) = (words[0], words[1]);
        }
        long error = Timeouts.TryReadTimespec(thread.Memory, a.A4, out long deadline);
        if (error != 0)
            return error;
        error = TryReadMask(thread, maskAddress, maskSize, out ulong mask);
        if (error != 0)
            return error;

        if (maskAddress != 0)
            thread.BeginTemporaryMask(mask);
        long result = SelectDescriptors(thread, a.Int0, a.A1, a.A2, a.A3, deadline);
        if (result == Restart.System)
            result = Restart.NoHandler;
        if (maskAddress != 0)
            thread.EndTemporaryMask(interrupted: result == Restart.NoHandler);
        Timeouts.WriteBackTimespec(thread.Memory, a.A4, deadline);
        return result;
    }

    private const PollEvents ReadBand = (PollEvents)POLLRDBAND;
    private const PollEvents WriteBand = (PollEvents)POLLWRBAND;
    private const PollEvents SelectRead =
        PollEvents.Readable | ReadBand | PollEvents.HangUp | PollEvents.Error;
    private const PollEvents SelectWrite = PollEvents.Writable | WriteBand | PollEvents.Error;
    private const PollEvents SelectException = PollEvents.Priority;

    private static long SelectDescriptors(
        GuestThread thread, int count, ulong reads, ulong writes, ulong exceptions, long deadline)
    {
        if (count < 0)
            return -EINVAL;
        // As the kernel: what lies beyond the table cannot be open.
        count = Math.Min(count, thread.Descriptors.Limit);
        int words = (count + 63) / 64;
        ulong[] storage = ArrayPool<ulong>.Shared.Rent(Math.Max(3 * words, 1));
        long result = SelectDescriptors(
            thread, count, storage.AsSpan(0, 3 * words), reads, writes, exceptions, deadline);
        ArrayPool<ulong>.Shared.Return(storage);
        return result;
    }

    private static long SelectDescriptors(
        GuestThread thread, int count, Span<ulong> sets, ulong reads, ulong writes, ulong exceptions, long deadline)
    {
        int words = sets.Length / 3;
        Span<ulong> readSet = sets[..words], writeSet = sets.Slice(words, words), exceptionSet = sets[(2 * words)..];
        if (!TryReadSet(thread, reads, readSet) || !TryReadSet(thread, writes, writeSet)
            || !TryReadSet(thread, exceptions, exceptionSet))
            return -EFAULT;

        PollSet set = thread.PollSet;
        for (int descriptor = 0; descriptor < count; descriptor++)
        {
            PollEvents wanted = Wanted(readSet, writeSet, exceptionSet, descriptor);
            if (wanted != PollEvents.None && !set.TryAdd(descriptor, wanted))
            {
                set.Clear();
                return -ENOMEM;
            }
        }
        if (set.HasInvalid)
        {
            set.Clear();
            return -EBADF;
        }
        long result = set.Wait(deadline);
        if (result >= 0)
        {
            result = 0;
            int index = 0;
            for (int descriptor = 0; descriptor < count; descriptor++)
            {
                PollEvents wanted = Wanted(readSet, writeSet, exceptionSet, descriptor);
                if (wanted == PollEvents.None)
                    continue;
                PollEvents ready = set.Ready(index++);
                result += Report(readSet, descriptor, ready & SelectRead);
                result += Report(writeSet, descriptor, ready & SelectWrite);
                result += Report(exceptionSet, descriptor, ready & SelectException);
            }
        }
        set.Clear();
        if (result >= 0 && (!TryWriteSet(thread, reads, readSet) || !TryWriteSet(thread, writes, writeSet)
            || !TryWriteSet(thread, exceptions, exceptionSet)))
            return -EFAULT;
        return result;
    }

    private static PollEvents Wanted(
        ReadOnlySpan<ulong> reads, ReadOnlySpan<ulong> writes, ReadOnlySpan<ulong> exceptions, int descriptor)
    {
        int word = descriptor / 64;
        ulong bit = 1UL << (descriptor % 64);
        return ((reads[word] & bit) != 0 ? SelectRead : 0)
            | ((writes[word] & bit) != 0 ? SelectWrite : 0)
            | ((exceptions[word] & bit) != 0 ? SelectException : 0);
    }

    /// <summary>Leaves the bit set if it was asked for and is ready; 1 then.</summary>
    private static int Report(Span<ulong> set, int descriptor, PollEvents ready)
    {
        ref ulong word = ref set[descriptor / 64];
        ulong bit = 1UL << (descriptor % 64);
        if ((word & bit) == 0)
            return 0;
        if (ready != PollEvents.None)
            return 1;
        word &= ~bit;
        return 0;
    }

    private static bool TryReadSet(GuestThread thread, ulong address, Span<ulong> set)
    {
        if (address != 0)
            return set.IsEmpty || thread.Memory.TryRead(new VirtualAddress(address), MemoryMarshal.AsBytes(set));
        set.Clear();
        return true;
    }

    private static bool TryWriteSet(GuestThread thread, ulong address, ReadOnlySpan<ulong> set) =>
        address == 0 || set.IsEmpty || thread.Memory.TryWrite(new VirtualAddress(address), MemoryMarshal.AsBytes(set));

    /// <summary>The signal mask of ppoll(2), pselect6(2) and epoll_pwait(2); a null address changes nothing.</summary>
    private static long TryReadMask(GuestThread thread, ulong address, ulong size, out ulong mask)
    {
        mask = 0;
        if (address == 0)
            return 0;
        if (size != sizeof(ulong))
            return -EINVAL;
        return thread.Memory.TryRead(new VirtualAddress(address), out mask) ? 0 : -EFAULT;
    }
}
