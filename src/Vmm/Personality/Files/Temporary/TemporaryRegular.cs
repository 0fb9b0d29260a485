using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>A regular file in guest memory: a file of a tmpfs or a memfd. Its pages appear with the first byte.</summary>
public sealed class TemporaryRegular(TemporaryFileSystem fileSystem, uint mode, Owner owner)
    : TemporaryInode(fileSystem, mode, owner)
{
    // Serialises what depends on the length: appends, truncation against seals.
    private readonly Lock _contentLock = new();
    private PagedObject? _content;
    private int _seals = F_SEAL_SEAL;

    protected override long Size => Volatile.Read(ref _content)?.Length ?? 0;

    protected override long Pages => Volatile.Read(ref _content)?.PageCount ?? 0;

    internal long Length => Size;

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        if (!TryAddUser())
            return -ESTALE;
        if ((flags & O_TRUNC) != 0)
        {
            long result = SetLength(0);
            if (result < 0)
            {
                RemoveUser();
                return result;
            }
        }
        file = new TemporaryFile(self, this, flags);
        return 0;
    }

    public override long SetLength(in Caller caller, Dentry self, long length)
    {
        if (!TryAddUser())
            return -ESTALE;
        long result = SetLength(length);
        RemoveUser();
        return result;
    }

    internal long SetLength(long length)
    {
        lock (_contentLock)
        {
            long now = Length;
            if ((length < now && (_seals & F_SEAL_SHRINK) != 0) || (length > now && (_seals & F_SEAL_GROW) != 0))
                return -EPERM;
            if (length != now)
            {
                long result = Content.SetLength(length);
                if (result < 0)
                    return result;
            }
        }
        TouchModify();
        return 0;
    }

    internal long Read(Span<byte> buffer, long offset)
    {
        PagedObject? content = Volatile.Read(ref _content);
        if (content is null)
            return 0;
        long count = content.Read(offset, buffer);
        if (count > 0)
            TouchAccess();
        return count;
    }

    internal long Write(ReadOnlySpan<byte> buffer, long offset)
    {
        if (buffer.IsEmpty)
            return 0;
        long count;
        lock (_contentLock)
            count = WriteLocked(buffer, offset);
        if (count > 0)
            TouchModify();
        return count;
    }

    internal long Append(ReadOnlySpan<byte> buffer, out long end)
    {
        long count;
        lock (_contentLock)
        {
            long start = Length;
            count = buffer.IsEmpty ? 0 : WriteLocked(buffer, start);
            end = start + Math.Max(count, 0);
        }
        if (count > 0)
            TouchModify();
        return count;
    }

    private long WriteLocked(ReadOnlySpan<byte> buffer, long offset)
    {
        if ((_seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
            return -EPERM;
        if ((_seals & F_SEAL_GROW) != 0)
        {
            long room = Length - offset;
            if (room <= 0)
                return -EPERM;
            buffer = buffer[..(int)Math.Min(buffer.Length, room)];
        }
        return Content.Write(offset, buffer);
    }

    internal long Allocate(int mode, long offset, long length)
    {
        if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0)
            return -EOPNOTSUPP;
        if (length > long.MaxValue - offset)
            return -EFBIG;
        long result = 0;
        lock (_contentLock)
        {
            if ((mode & FALLOC_FL_PUNCH_HOLE) != 0)
            {
                if ((mode & FALLOC_FL_KEEP_SIZE) == 0)
                    return -EOPNOTSUPP;
                if ((_seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
                    return -EPERM;
                Volatile.Read(ref _content)?.PunchHole(offset, length);
            }
            else
            {
                bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0 && offset + length > Length;
                if (grows && (_seals & F_SEAL_GROW) != 0)
                    return -EPERM;
                result = Content.Allocate(offset, length, (mode & FALLOC_FL_KEEP_SIZE) != 0);
            }
        }
        if (result == 0)
            TouchModify();
        return result;
    }

    internal long Next(long offset, bool data)
    {
        PagedObject? content = Volatile.Read(ref _content);
        return content is null ? -ENXIO : content.Next(offset, data);
    }

    internal PagedObject Mappable(string name)
    {
        lock (_contentLock)
        {
            PagedObject content = Content;
            content.MappingName = name;
            return content;
        }
    }

    /// <summary>memfd_create with MFD_ALLOW_SEALING.</summary>
    internal void AllowSealing() => _seals = 0;

    internal int Seals => Volatile.Read(ref _seals);

    /// <summary>
    /// F_ADD_SEALS. -EBUSY for F_SEAL_WRITE while a shared mapping is, or may become, writable; F_SEAL_FUTURE_WRITE leaves
    /// those that are there.
    /// </summary>
    internal long AddSeals(int seals)
    {
        if ((seals & ~(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
            return -EINVAL;
        lock (_contentLock)
        {
            if ((_seals & F_SEAL_SEAL) != 0)
                return -EPERM;
            int added = seals & ~_seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
            long result = added == 0 ? 0 : Content.RefuseWriters(unlessMapped: (added & F_SEAL_WRITE) != 0);
            if (result == 0)
                _seals |= seals;
            return result;
        }
    }

    // Under the content lock.
    private PagedObject Content
    {
        get
        {
            if (_content is null)
                Volatile.Write(ref _content, FileSystem.CreateContent("", Number));
            return _content!;
        }
    }

    protected override void ReleaseContent() => Interlocked.Exchange(ref _content, null)?.Release();
}

/// <summary>An open file of a tmpfs, or a memfd.</summary>
public sealed class TemporaryFile : PositionedFile
{
    private readonly TemporaryRegular _inode;

    /// <summary>Takes over one use of the inode.</summary>
    internal TemporaryFile(Dentry dentry, TemporaryRegular inode, int flags)
        : base(dentry, flags) => _inode = inode;

    public override bool MovesBytesOnly => true;

    public override long ReadAt(Span<byte> buffer, long offset) => offset < 0 ? -EINVAL : _inode.Read(buffer, offset);

    public override long WriteAt(ReadOnlySpan<byte> buffer, long offset)
    {
        if (offset < 0)
            return -EINVAL;
        return (StatusFlags & O_APPEND) != 0 ? _inode.Append(buffer, out _) : _inode.Write(buffer, offset);
    }

    protected override long Append(ReadOnlySpan<byte> buffer, out long end) => _inode.Append(buffer, out end);

    protected override long GetLength() => _inode.Length;

    protected override long Next(long offset, bool data) => _inode.Next(offset, data);

    public override long Truncate(long length) => CanWrite ? _inode.SetLength(length) : -EINVAL;

    public override long Allocate(int mode, long offset, long length) => _inode.Allocate(mode, offset, length);

    public override long Synchronize(bool dataOnly) => 0;

    public override IMappable? Mappable => _inode.Mappable(DisplayName);

    protected override long ControlFile(GuestThread thread, int command, ulong argument) => command switch
    {
        F_ADD_SEALS => CanWrite ? _inode.AddSeals((int)argument) : -EPERM,
        F_GET_SEALS => _inode.Seals,
        _ => base.ControlFile(thread, command, argument),
    };
}
