using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>An open file with a position: read, write and lseek in terms of reads and writes at an offset.</summary>
public abstract class PositionedFile(Dentry dentry, int flags) : InodeFile(dentry, flags)
{
    // Held across the transfer, as the kernel holds f_pos_lock: two readers of one description never get the same bytes.
    private readonly Lock _positionLock = new();
    private long _position;

    public override long Read(Span<byte> buffer)
    {
        lock (_positionLock)
        {
            long count = ReadAt(buffer, _position);
            if (count > 0)
                _position += count;
            return count;
        }
    }

    public override long Write(ReadOnlySpan<byte> buffer)
    {
        lock (_positionLock)
        {
            long end = 0;
            bool append = (StatusFlags & O_APPEND) != 0;
            long count = append ? Append(buffer, out end) : WriteAt(buffer, _position);
            if (count > 0)
                _position = append ? end : _position + count;
            return count;
        }
    }

    public override long Seek(long offset, int whence)
    {
        lock (_positionLock)
        {
            long origin;
            switch (whence)
            {
                case SEEK_SET:
                    origin = 0;
                    break;
                case SEEK_CUR:
                    origin = _position;
                    break;
                case SEEK_END:
                    origin = GetLength();
                    if (origin < 0)
                        return origin;
                    break;
                case SEEK_DATA:
                case SEEK_HOLE:
                    long found = offset < 0 ? -ENXIO : Next(offset, whence == SEEK_DATA);
                    if (found >= 0)
                        _position = found;
                    return found;
                default:
                    return -EINVAL;
            }
            long target = unchecked(origin + offset);
            if (target < 0)
                return offset > 0 ? -EOVERFLOW : -EINVAL;
            return _position = target;
        }
    }

    /// <summary>Writes at the end, in one step against other appends. The end of what was written comes back.</summary>
    protected abstract long Append(ReadOnlySpan<byte> buffer, out long end);

    protected abstract long GetLength();

    /// <summary>FIONREAD: what is left of a regular file; a negative number behind its end, as in Linux.</summary>
    public override long Ioctl(GuestThread thread, uint request, ulong argument)
    {
        if (request != FIONREAD || Inode.Type != S_IFREG)
            return base.Ioctl(thread, request, argument);
        int left = (int)(GetLength() - Volatile.Read(ref _position));
        return thread.Memory.TryWrite(new VirtualAddress(argument), left) ? 0 : -EFAULT;
    }

    /// <summary>SEEK_DATA and SEEK_HOLE for a file without holes: data to the end, a hole behind it.</summary>
    protected virtual long Next(long offset, bool data)
    {
        long length = GetLength();
        if (length < 0)
            return length;
        if (offset >= length)
            return -ENXIO;
        return data ? offset : length;
    }

    protected long Position => _position;
}
