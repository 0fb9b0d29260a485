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

    /// <summary>Copies from a file that has offsets; bytes copied, or a negative errno when there are none.</summary>
    private static long CopyFrom(
        GuestThread thread, OpenFile source, long sourceOffset, OpenFile target, long targetOffset, ulong count,
        bool nonBlocking)
    {
        byte[] buffer = thread.TransferBuffer;
        long total = 0;
        while ((ulong)total < count)
        {
            int wanted = (int)Math.Min(count - (ulong)total, (ulong)buffer.Length);
            long read = source.ReadAt(buffer.AsSpan(0, wanted), sourceOffset + total);
            if (read <= 0)
                return total > 0 ? total : read;
            long written = Transfers.WriteAll(
                thread, target, buffer.AsSpan(0, (int)read),
                targetOffset < 0 ? targetOffset : targetOffset + total, nonBlocking);
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
        if (target is not PipeEnd)
            return -EINVAL;
        return SpliceToPipe(thread, source, ref from, target, count, nonBlocking);
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
            bool waitsForRoom = take && target is PipeEnd { IsNonBlocking: false } && !nonBlocking;
            long written = Transfers.WriteAll(
                thread, target, piece[..(int)read], offset, nonBlocking || waitsForRoom);
            if (take)
                source.Pipe.Take((int)Math.Max(written, 0));
            if (written != -EAGAIN || !waitsForRoom)
                return written;
            long slept = AwaitRoom(thread, ((PipeEnd)target).Pipe);
            if (slept != 0)
                return slept;
        }
    }

    private static long AwaitRoom(GuestThread thread, Pipe target)
    {
        using Blocking wait = new(thread, target.Waiters, PollEvents.Writable);
        // Room, or no reader any more.
        while (target.Poll(reader: false, writer: true, everHadWriter: true) == PollEvents.None)
        {
            long slept = wait.Sleep();
            if (slept != 0)
                return slept;
        }
        return 0;
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
        GuestThread thread, OpenFile source, ref Position from, OpenFile target, ulong count, bool nonBlocking)
    {
        long offset = from.IsExplicit ? from.Value : source.Seek(0, SEEK_CUR);
        if (offset >= 0)
        {
            // One buffer's worth: what a pipe can take at once, so that a reader in the same thread gets its turn.
            count = Math.Min(count, GuestThread.TransferSize);
            long moved = CopyFrom(thread, source, offset, target, Transfers.AtPosition, count, nonBlocking);
            if (moved > 0 && from.IsExplicit)
                from.Value = offset + moved;
            else if (moved > 0)
                source.Seek(offset + moved, SEEK_SET);
            return moved;
        }
        if (from.IsExplicit)
            return -ESPIPE;

        // What was read cannot be put back: read only when the pipe has room, then wait for the rest if need be.
        PollEvents ready = target.Poll();
        if ((ready & PollEvents.Error) != 0)
        {
            Transfers.RaiseBrokenPipe(thread);
            return -EPIPE;
        }
        if ((ready & PollEvents.Out) == 0 && nonBlocking)
            return -EAGAIN;
        Span<byte> piece = thread.TransferBuffer.AsSpan(0, (int)Math.Min(count, Pipe.AtomicSize));
        long read = Blocking.Read(thread, source, piece, nonBlocking);
        return read <= 0 ? read : Transfers.WriteAll(
            thread, target, piece[..(int)read], Transfers.AtPosition, nonBlocking: false);
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
        if (file is PipeEnd)
        {
            result = GuestBuffers.TryCreate(thread.Memory, a.A1, a.A2, thread.VectorBuffer, out GuestBuffers buffers);
            bool nonBlocking = (a.A3 & SPLICE_F_NONBLOCK) != 0;
            if (result == 0)
                result = file.CanWrite
                    ? Transfers.Write(thread, file, ref buffers, Transfers.AtPosition, nonBlocking)
                    : Transfers.Read(thread, file, ref buffers, Transfers.AtPosition, nonBlocking);
        }
        file.Release();
        return result;
    }
}
