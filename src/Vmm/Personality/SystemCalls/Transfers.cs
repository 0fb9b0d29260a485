using System.Buffers;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>
/// Moves bytes between guest memory and open files, piece by piece through the thread's transfer buffer; large pieces
/// of files that only move bytes go straight to and from the guest's pages. Whatever
/// goes wrong after the first bytes have moved, the caller hears how many did.
/// </summary>
static class Transfers
{
    /// <summary>Reads at the file's own position.</summary>
    public const long AtPosition = -1;

    /// <summary>
    /// The longest message that a read or write moves whole; longer ones are -EMSGSIZE to their file.
    /// </summary>
    private const int MaximumMessage = 256 * 1024;

    /// <summary>From so many bytes on it pays to lend guest memory itself to the host's read or write.</summary>
    private const int DirectMinimum = 16 * 1024;

    /// <summary>The most that one host call moves: how long a fork in another thread may have to wait for it.</summary>
    private const int DirectLimit = 1024 * 1024;

    public static long Read(
        GuestThread thread, OpenFile file, ref GuestBuffers destination, long offset, bool nonBlocking)
    {
        if (file.IsMessageBased && destination.Remaining > GuestThread.TransferSize)
            return ReadMessage(thread, file, ref destination, offset, nonBlocking);
        return Read(thread, file, ref destination, offset, nonBlocking, thread.TransferBuffer);
    }

    private static long ReadMessage(
        GuestThread thread, OpenFile file, ref GuestBuffers destination, long offset, bool nonBlocking)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(destination.Remaining, MaximumMessage));
        long result = Read(thread, file, ref destination, offset, nonBlocking, buffer);
        ArrayPool<byte>.Shared.Return(buffer);
        return result;
    }

    private static long Read(
        GuestThread thread, OpenFile file, ref GuestBuffers destination, long offset, bool nonBlocking,
        Span<byte> buffer)
    {
        long total = 0;
        do
        {
            if (TryMoveDirectly(thread, file, ref destination, offset < 0 ? offset : offset + total, write: false,
                out long moved, out bool isWhole))
            {
                if (moved <= 0)
                    return total > 0 ? total : moved;
                total += moved;
                if (!isWhole)
                    return total;
                continue;
            }
            // Asked before the file is: data must not leave a pipe for an address that cannot take it.
            int wanted = (int)Math.Min(destination.Remaining, (ulong)buffer.Length);
            int room = destination.Accessible(wanted, write: true);
            if (room == 0 && wanted > 0)
                return total > 0 ? total : FaultOf(file, offset);
            Span<byte> piece = buffer[..room];
            long count = offset >= 0
                ? file.ReadAt(piece, offset + total)
                : Blocking.Read(thread, file, piece, nonBlocking || total > 0);
            if (count <= 0)
                return total > 0 ? total : count;
            if (!destination.CopyOut(piece[..(int)count]))
                return total > 0 ? total : -EFAULT;
            thread.StayHere();
            total += count;
            if (count < wanted || file.IsMessageBased)
                break;
        }
        while (destination.Remaining > 0);
        return total;
    }

    public static long Write(GuestThread thread, OpenFile file, ref GuestBuffers source, long offset, bool nonBlocking)
    {
        if (thread.Process.Limits.Soft(RLIMIT_FSIZE) != ResourceLimits.Infinity)
        {
            long error = ApplySizeLimit(thread, file, ref source, offset);
            if (error != 0)
                return error;
        }
        if (file.IsMessageBased && source.Remaining > GuestThread.TransferSize)
            return WriteMessage(thread, file, ref source, offset, nonBlocking);
        return Write(thread, file, ref source, offset, nonBlocking, thread.TransferBuffer);
    }

    /// <summary>RLIMIT_FSIZE: a regular file ends there, and a write beyond it raises SIGXFSZ.</summary>
    private static long ApplySizeLimit(GuestThread thread, OpenFile file, ref GuestBuffers source, long offset)
    {
        if (source.Remaining == 0 || file.GetStatus(out Host.stat status) != 0 || !S_ISREG(status.st_mode))
            return 0;
        if (offset < 0)
            offset = (file.StatusFlags & O_APPEND) != 0 ? status.st_size : file.Seek(0, SEEK_CUR);
        ulong limit = thread.Process.Limits.Soft(RLIMIT_FSIZE);
        if (offset < 0 || (ulong)offset < limit)
        {
            source.Truncate(offset < 0 ? ulong.MaxValue : limit - (ulong)offset);
            return 0;
        }
        Raise(thread, SIGXFSZ);
        return -EFBIG;
    }

    private static long WriteMessage(
        GuestThread thread, OpenFile file, ref GuestBuffers source, long offset, bool nonBlocking)
    {
        if (source.Remaining > MaximumMessage)
            return -EMSGSIZE;
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)source.Remaining);
        long result = Write(thread, file, ref source, offset, nonBlocking, buffer);
        ArrayPool<byte>.Shared.Return(buffer);
        return result;
    }

    private static long Write(
        GuestThread thread, OpenFile file, ref GuestBuffers source, long offset, bool nonBlocking, Span<byte> buffer)
    {
        long total = 0;
        do
        {
            if (TryMoveDirectly(thread, file, ref source, offset < 0 ? offset : offset + total, write: true,
                out long moved, out bool isWhole))
            {
                if (moved <= 0)
                    return total > 0 ? total : moved;
                total += moved;
                if (!isWhole)
                    return total;
                continue;
            }
            int wanted = (int)Math.Min(source.Remaining, (ulong)buffer.Length);
            int available = source.CopyIn(buffer[..wanted]);
            if (available < wanted && (available == 0 || file.IsMessageBased))
                return total > 0 ? total : FaultOf(file, offset);
            long count = WriteAll(thread, file, buffer[..available], offset < 0 ? offset : offset + total, nonBlocking);
            if (count < 0)
                return total > 0 ? total : count;
            total += count;
            if (count < wanted || file.IsMessageBased)
                break;
        }
        while (source.Remaining > 0);
        return total;
    }

    /// <summary>Writes from the VMM's buffer until all is written or the file refuses more.</summary>
    /// <returns>Bytes written, or a negative errno when there are none. A broken pipe raises SIGPIPE.</returns>
    public static long WriteAll(
        GuestThread thread, OpenFile file, ReadOnlySpan<byte> piece, long offset, bool nonBlocking)
    {
        long total = 0;
        do
        {
            long count = offset >= 0
                ? file.WriteAt(piece, offset + total)
                : Blocking.Write(thread, file, piece, nonBlocking);
            if (count == -EPIPE && !file.IsMessageBased)
                RaiseBrokenPipe(thread);
            if (count < 0)
                return total > 0 ? total : count;
            thread.StayHere();
            total += count;
            if (count == 0 || file.IsMessageBased)
                break;
            piece = piece[(int)count..];
        }
        while (!piece.IsEmpty);
        return total;
    }

    /// <summary>Moves one large piece between a file and the guest's own pages; such files never wait.</summary>
    /// <param name="isWhole">The file took or gave all of the piece.</param>
    /// <returns>False when the piece has to go through the buffer.</returns>
    private static bool TryMoveDirectly(
        GuestThread thread, OpenFile file, ref GuestBuffers buffers, long offset, bool write,
        out long moved, out bool isWhole)
    {
        moved = 0;
        isWhole = false;
        if (!file.MovesBytesOnly
            || !buffers.TryPin(DirectLimit, DirectMinimum, !write, out AddressSpace.PinnedMemory pinned))
            return false;
        using (pinned)
        {
            Span<byte> bytes = pinned.Bytes;
            if (write)
                moved = offset >= 0 ? file.WriteAt(bytes, offset) : file.Write(thread, bytes);
            else
                moved = offset >= 0 ? file.ReadAt(bytes, offset) : file.Read(thread, bytes);
            isWhole = moved == bytes.Length;
        }
        if (moved > 0)
            buffers.Skip(moved);
        return true;
    }

    public static void RaiseBrokenPipe(GuestThread thread) => Raise(thread, SIGPIPE);

    private static void Raise(GuestThread thread, int signal)
    {
        Host.siginfo_t info = new()
        {
            si_signo = signal,
            si_code = SI_USER,
            si_pid = thread.Process.Pid,
            si_uid = thread.Process.Credentials.RealUid,
        };
        thread.SendSignal(signal, in info);
    }

    // pread(2) on a pipe is ESPIPE before anybody looks at the buffer.
    private static long FaultOf(OpenFile file, long offset) =>
        offset >= 0 && file.Seek(0, SEEK_CUR) == -ESPIPE ? -ESPIPE : -EFAULT;
}
