using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// An open host file, and the one place where what it holds is changed: each call that can make it larger is charged to
/// its folder's quota first, where there is one, and holds the file's record until the host has answered. Answers
/// are 0, a count, or a negative errno: -ENOSPC where the quota ends.
/// </summary>
/// <param name="growth">Null without a quota; else a hold on it, which goes with this object.</param>
sealed class HostContent(FileDescriptor descriptor, GrowthRecord? growth) : IDisposable
{
    /// <summary>Modes of fallocate(2) of which it is known what they add.</summary>
    private const int KnownModes = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;

    public FileDescriptor Descriptor { get; } = descriptor;

    /// <summary>For the host's mappings of the file.</summary>
    public IContentHold? Hold => growth;

    public long Write(ReadOnlySpan<byte> buffer, long offset)
    {
        if (growth is not { MayGrow: true } || buffer.IsEmpty)
            return WriteNow(buffer, offset);
        lock (growth.Lock)
        {
            long room = growth.Reserve(Descriptor, offset, buffer.Length, out long before);
            if (room < 0)
                return room;
            long count = WriteNow(buffer[..(int)room], offset);
            if (count < room)
                growth.Settle(Descriptor, before);
            return count;
        }
    }

    /// <summary>Writes at the end, in one step against other appends. The end of what was written comes back.</summary>
    public long Append(ReadOnlySpan<byte> buffer, out long end)
    {
        if (growth is not { MayGrow: true } || buffer.IsEmpty)
            return AppendNow(buffer, out end);
        end = 0;
        lock (growth.Lock)
        {
            int result = Descriptor.GetStatus(out stat status);
            if (result < 0)
                return result;
            long room = growth.Reserve(Descriptor, status.st_size, buffer.Length, out long before);
            if (room < 0)
                return room;
            long count = AppendNow(buffer[..(int)room], out end);
            if (count < room)
                growth.Settle(Descriptor, before);
            return count;
        }
    }

    public long SetLength(long length)
    {
        if (growth is not { MayGrow: true })
            return SetLengthNow(length);
        lock (growth.Lock)
        {
            long result = Descriptor.GetStatus(out stat status);
            if (result < 0)
                return result;
            if (length > status.st_size)
            {
                result = growth.ReserveAll(Descriptor, 0, length, out long before);
                if (result < 0)
                    return result;
                result = SetLengthNow(length);
                if (result < 0)
                    growth.Settle(Descriptor, before);
                return result;
            }
            result = SetLengthNow(length);
            // What fallocate has taken beyond the end goes only when the file gets shorter.
            if (result == 0 && length < status.st_size)
                growth.SetExtent(length);
            return result;
        }
    }

    /// <summary>fallocate(2).</summary>
    public long Allocate(int mode, long offset, long length)
    {
        if (growth is not { MayGrow: true })
            return AllocateNow(mode, offset, length);
        // Inserting a range, or making blocks a file's own, adds what cannot be told from its length.
        if ((mode & ~KnownModes) != 0)
            return -EOPNOTSUPP;
        lock (growth.Lock)
        {
            // What a call that fails in between has taken stays charged: nothing tells how much that is.
            long result = (mode & FALLOC_FL_PUNCH_HOLE) != 0
                ? 0
                : growth.ReserveAll(Descriptor, offset, length, out _);
            return result < 0 ? result : AllocateNow(mode, offset, length);
        }
    }

    public void Dispose()
    {
        Descriptor.Dispose();
        growth?.Release();
    }

    private long WriteNow(ReadOnlySpan<byte> buffer, long offset)
    {
        nint count;
        do
        {
            count = Descriptor.WriteAt(buffer, offset);
        }
        while (count == -EINTR);
        return count;
    }

    private long AppendNow(ReadOnlySpan<byte> buffer, out long end)
    {
        end = 0;
        nint count;
        do
        {
            count = Descriptor.Append(buffer);
        }
        while (count == -EINTR);
        if (count >= 0 && Descriptor.GetStatus(out stat status) == 0)
            end = status.st_size;
        return count;
    }

    private long SetLengthNow(long length) => ftruncate(Descriptor.Value, length) == 0 ? 0 : -errno;

    private long AllocateNow(int mode, long offset, long length) =>
        Errands.Call(SYS_fallocate, Descriptor.Value, mode, (nint)offset, (nint)length);
}
