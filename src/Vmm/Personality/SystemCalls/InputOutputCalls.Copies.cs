using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Copies between descriptors that never pass through guest memory.
static partial class InputOutputCalls
{
    private const uint SpliceFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

    private static void RegisterCopies(SystemCallTable table)
    {
        table.Add(SYS_sendfile, "sendfile", SendFile, "fd fd ptr size", atExit: true);
        table.Add(SYS_splice, "splice", Splice, "fd ptr fd ptr size flags:SPLICE_F", atExit: true);
        table.Add(SYS_tee, "tee", Tee, "fd fd size flags:SPLICE_F", atExit: true);
        table.Add(SYS_vmsplice, "vmsplice", VmSplice, "fd ptr int flags:SPLICE_F", atExit: true);
    }

    /// <summary>An offset argument that may be null: then the file's own position counts.</summary>
    private ref struct Position(GuestThread thread, ulong address)
    {
        public long Value = Transfers.AtPosition;

        public readonly bool IsExplicit => address != 0;

        /// <returns>0, -EFAULT or -EINVAL.</returns>
        public long TryRead()
        {
            if (!IsExplicit)
                return 0;
            if (!thread.Memory.TryRead(new VirtualAddress(address), out Value))
                return -EFAULT;
            return Value < 0 ? -EINVAL : 0;
        }

        public readonly bool TryWriteBack() =>
            !IsExplicit || thread.Memory.TryWrite(new VirtualAddress(address), Value);
    }

    private static long SendFile(GuestThread thread, in SystemCallArguments a)
    {
        Position position = new(thread, a.A2);
        long result = position.TryRead();
        if (result != 0)
            return result;
        result = Acquire(thread, a.Int1, write: false, out OpenFile source);
        if (result != 0)
            return result;
        result = Acquire(thread, a.Int0, write: true, out OpenFile target);
        if (result != 0)
        {
            source.Release();
            return result;
        }
        result = SendFile(thread, target, source, ref position, Math.Min(a.A3, GuestBuffers.MaximumTotal));
        ReportCopied(source, target, result);
        target.Release();
        source.Release();
        return position.TryWriteBack() ? result : -EFAULT;
    }

    public static void ReportCopied(OpenFile source, OpenFile target, long count)
    {
        FileWatches.Transferred(source, count, write: false);
        FileWatches.Transferred(target, count, write: true);
    }

    private static long SendFile(
        GuestThread thread, OpenFile target, OpenFile source, ref Position position, ulong count)
    {
        long offset = source.Seek(0, SEEK_CUR);
        if (offset < 0)
            return position.IsExplicit ? -ESPIPE : -EINVAL;
        if ((target.StatusFlags & O_APPEND) != 0)
            return -EINVAL;
        if (position.IsExplicit)
            offset = position.Value;

        long total = CopyFrom(thread, source, offset, target, Transfers.AtPosition, count, nonBlocking: false);
        if (total > 0)
        {
            if (position.IsExplicit)
                position.Value = offset + total;
            else
                source.Seek(offset + total, SEEK_SET);
        }
        return total;
    }

    /// <summary>
    /// Copies from a file that has offsets. Into a pipe goes what fits: room is awaited for the first bytes alone,
    /// since who is to read the others may be the caller.
    /// </summary>
    /// <returns>Bytes copied, or a negative errno when there are none.</returns>
    private static long CopyFrom(
        GuestThread thread, OpenFile source, long sourceOffset, OpenFile target, long targetOffset, ulong count,
        bool nonBlocking)
    {
        byte[] buffer = thread.TransferBuffer;
        Pipe? pipe = (target as PipeEnd)?.Pipe;
        nonBlocking |= target.IsNonBlocking;
        // However fast its reader: a signal is looked at again.
        if (pipe is not null)
            count = Math.Min(count, (ulong)pipe.Capacity);
        long total = 0;
        while ((ulong)total < count)
        {
            if (pipe is not null && total == 0)
            {
                long room = AwaitRoom(thread, pipe, nonBlocking);
                if (room != 0)
                    return room;
            }
            int wanted = (int)Math.Min(count - (ulong)total, (ulong)buffer.Length);
            long read = source.ReadAt(buffer.AsSpan(0, wanted), sourceOffset + total);
            if (read <= 0)
                return total > 0 ? total : read;
            long written = Transfers.WriteAll(
                thread, target, buffer.AsSpan(0, (int)read),
                targetOffset < 0 ? targetOffset : targetOffset + total, nonBlocking || pipe is not null);
            // Another writer was quicker.
            if (written == -EAGAIN && total == 0 && pipe is not null && !nonBlocking)
                continue;
            if (written < 0)
                return total > 0 ? total : written;
            total += written;
            if (written < read)
                break;
        }
        return total;
    }

    private static long Splice(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A4 == 0)
            return 0;
        if (((uint)a.A5 & ~SpliceFlags) != 0)
            return -EINVAL;
        long result = Acquire(thread, a.Int0, write: false, out OpenFile source);
        if (result != 0)
            return result;
        result = Acquire(thread, a.Int2, write: true, out OpenFile target);
        if (result != 0)
        {
            source.Release();
            return result;
        }
        Position from = new(thread, a.A1), to = new(thread, a.A3);
        if ((source is PipeEnd && from.IsExplicit) || (target is PipeEnd && to.IsExplicit))
            result = -ESPIPE;
        else if ((result = from.TryRead()) == 0 && (result = to.TryRead()) == 0)
            result = Splice(thread, source, ref from, target, ref to,
                Math.Min(a.A4, GuestBuffers.MaximumTotal), (a.A5 & SPLICE_F_NONBLOCK) != 0);
        ReportCopied(source, target, result);
        target.Release();
        source.Release();
        return result >= 0 && !(from.TryWriteBack() && to.TryWriteBack()) ? -EFAULT : result;
    }

    private static long Splice(
        GuestThread thread, OpenFile source, ref Position from, OpenFile target, ref Position to, ulong count,
        bool nonBlocking)
    {
        if (source is PipeEnd pipe)
        {
            if (target is PipeEnd other && other.Pipe == pipe.Pipe)
                return -EINVAL;
            if ((target.StatusFlags & O_APPEND) != 0)
                return -EINVAL;
            long moved = SpliceFromPipe(thread, pipe, target, to.Value, count, nonBlocking, take: true);
            if (moved > 0 && to.IsExplicit)
                to.Value += moved;
            return moved;
        }
        return target is PipeEnd end ? SpliceToPipe(thread, source, ref from, end, count, nonBlocking) : -EINVAL;
    }

    /// <summary>
    /// One buffer's worth from a pipe. Bytes leave the pipe only when the target has them: an error loses nothing. Who
    /// takes them has them to itself meanwhile, but does not wait for room in another pipe with them.
    /// </summary>
    private static long SpliceFromPipe(
        GuestThread thread, PipeEnd source, OpenFile target, long offset, ulong count, bool nonBlocking, bool take)
    {
        byte[] buffer = thread.TransferBuffer;
        Span<byte> piece = buffer.AsSpan(0, (int)Math.Min(count, (ulong)buffer.Length));
        while (true)
        {
            long read = PeekPipe(thread, source, piece, nonBlocking, take);
            if (read <= 0)
                return read;
            bool waitsForRoom = target is PipeEnd { IsNonBlocking: false } && !nonBlocking;
            long written = Transfers.WriteAll(
                thread, target, piece[..(int)read], offset, nonBlocking || waitsForRoom);
            if (take)
                source.Pipe.Take((int)Math.Max(written, 0));
            if (written != -EAGAIN || !waitsForRoom)
                return written;
            long room = AwaitRoom(thread, ((PipeEnd)target).Pipe, nonBlocking: false);
            if (room != 0)
                return room;
        }
    }

    /// <returns>0 when there is room, -EAGAIN, -EPIPE (and a SIGPIPE) or a restart code.</returns>
    private static long AwaitRoom(GuestThread thread, Pipe target, bool nonBlocking)
    {
        PollEvents ready = target.Poll(reader: false, writer: true, everHadWriter: true);
        if (ready == PollEvents.None)
        {
            if (nonBlocking)
                return -EAGAIN;
            using Blocking wait = new(thread, target.Waiters, PollEvents.Writable);
            while ((ready = target.Poll(reader: false, writer: true, everHadWriter: true)) == PollEvents.None)
            {
                long slept = wait.Sleep();
                if (slept != 0)
                    return slept;
            }
        }
        if ((ready & PollEvents.Error) == 0)
            return 0;
        Transfers.RaiseBrokenPipe(thread);
        return -EPIPE;
    }

    private static long PeekPipe(
        GuestThread thread, PipeEnd source, Span<byte> buffer, bool nonBlocking, bool reserve)
    {
        long read = source.Pipe.Peek(buffer, reserve);
        if (read != -EAGAIN || nonBlocking || source.IsNonBlocking)
            return read;
        using Blocking wait = new(thread, source.Pipe.Waiters, PollEvents.Readable);
        while ((read = source.Pipe.Peek(buffer, reserve)) == -EAGAIN)
        {
            long slept = wait.Sleep();
            if (slept != 0)
                return slept;
        }
        return read;
    }

    private static long SpliceToPipe(
        GuestThread thread, OpenFile source, ref Position from, PipeEnd target, ulong count, bool nonBlocking)
    {
        long offset = from.IsExplicit ? from.Value : source.Seek(0, SEEK_CUR);
        if (offset >= 0)
        {
            long moved = CopyFrom(thread, source, offset, target, Transfers.AtPosition, count, nonBlocking);
            if (moved > 0 && from.IsExplicit)
                from.Value = offset + moved;
            else if (moved > 0)
                source.Seek(offset + moved, SEEK_SET);
            return moved;
        }
        if (from.IsExplicit)
            return -ESPIPE;
        Span<byte> piece = thread.TransferBuffer.AsSpan(0, (int)Math.Min(count, GuestThread.TransferSize));
        return SpliceToPipe(thread, source, target.Pipe, piece, nonBlocking || target.IsNonBlocking);
    }

    /// <summary>
    /// Moves what cannot be put back where it came from: it is read when there is room for it that nobody else can
    /// take. While the source has nothing, the room is everybody's.
    /// </summary>
    private static long SpliceToPipe(
        GuestThread thread, OpenFile source, Pipe target, Span<byte> piece, bool nonBlocking)
    {
        long startedAt = HostClock.MonotonicNanoseconds();
        while (true)
        {
            long room = AwaitRoom(thread, target, nonBlocking);
            if (room != 0)
                return room;
            long moved = ReadToPipe(thread, source, target, piece, out bool hadRoom);
            if (moved != -EAGAIN || nonBlocking)
                return moved;
            if (!hadRoom)
                continue;
            if (source.IsNonBlocking || source.GetWaiters(thread) is not { } queue)
                return moved;
            using Blocking wait = new(thread, queue, PollEvents.Readable | PollEvents.ReadHangUp);
            while ((moved = ReadToPipe(thread, source, target, piece, out hadRoom)) == -EAGAIN && hadRoom)
            {
                long deadline = source.ReadDeadline(startedAt);
                long slept = wait.Sleep(deadline, source.Interrupted(deadline));
                if (slept != 0)
                    return slept == -ETIMEDOUT ? source.ReadTimedOut(piece) : slept;
            }
            if (moved != -EAGAIN)
                return moved;
        }
    }

    private static long ReadToPipe(
        GuestThread thread, OpenFile source, Pipe target, Span<byte> piece, out bool hadRoom)
    {
        int held = target.HoldRoom(piece.Length);
        hadRoom = held > 0;
        if (!hadRoom)
            return -EAGAIN;
        long read = source.Read(thread, piece[..held]);
        target.WriteHeld(piece[..(int)Math.Max(read, 0)], held);
        return read;
    }

    private static long Tee(GuestThread thread, in SystemCallArguments a)
    {
        if (((uint)a.A3 & ~SpliceFlags) != 0)
            return -EINVAL;
        if (a.A2 == 0)
            return 0;
        long result = Acquire(thread, a.Int0, write: false, out OpenFile source);
        if (result != 0)
            return result;
        result = Acquire(thread, a.Int1, write: true, out OpenFile target);
        if (result != 0)
        {
            source.Release();
            return result;
        }
        result = source is PipeEnd from && target is PipeEnd to && from.Pipe != to.Pipe
            ? SpliceFromPipe(
                thread, from, to, Transfers.AtPosition, a.A2, (a.A3 & SPLICE_F_NONBLOCK) != 0, take: false)
            : -EINVAL;
        target.Release();
        source.Release();
        return result;
    }

    /// <summary>Gifts of pages are copies here: nothing can tell the difference but time.</summary>
    private static long VmSplice(GuestThread thread, in SystemCallArguments a)
    {
        if (((uint)a.A3 & ~SpliceFlags) != 0)
            return -EINVAL;
        OpenFile? file = AcquireAny(thread, a.Int0);
        if (file is null)
            return -EBADF;
        long result = -EBADF;
        if (file is PipeEnd end)
        {
            result = GuestBuffers.TryCreate(thread.Memory, a.A1, a.A2, thread.VectorBuffer, out GuestBuffers buffers);
            bool nonBlocking = (a.A3 & SPLICE_F_NONBLOCK) != 0;
            if (result == 0 && buffers.Remaining > 0)
                result = file.CanWrite
                    ? VmSplice(thread, end, buffers, nonBlocking)
                    : Transfers.Read(thread, file, ref buffers, Transfers.AtPosition, nonBlocking);
        }
        file.Release();
        return result;
    }

    /// <summary>What fits; O_NONBLOCK does not count here, the call's own flag does.</summary>
    private static long VmSplice(GuestThread thread, PipeEnd target, GuestBuffers source, bool nonBlocking)
    {
        source.Truncate((ulong)target.Pipe.Capacity);
        while (true)
        {
            long room = AwaitRoom(thread, target.Pipe, nonBlocking);
            if (room != 0)
                return room;
            GuestBuffers rest = source;
            long written = Transfers.Write(thread, target, ref rest, Transfers.AtPosition, nonBlocking: true);
            if (written != -EAGAIN || nonBlocking)
                return written;
        }
    }
}
