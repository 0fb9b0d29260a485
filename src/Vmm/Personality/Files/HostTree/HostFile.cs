using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>An open regular file of the host. The guest's position is kept here, the host's is not used.</summary>
public sealed unsafe class HostFile : PositionedFile
{
    private readonly HostContent _content;
    private readonly bool _ownsContent;

    /// <summary>Whose content this one uses; a reference that is held.</summary>
    private readonly HostFile? _original;

    /// <param name="ownsContent">The content, and one reserved file of the cache, go with this file.</param>
    internal HostFile(Dentry dentry, int flags, HostContent content, bool ownsContent)
        : base(dentry, flags)
    {
        _content = content;
        _ownsContent = ownsContent;
    }

    private FileDescriptor Descriptor => _content.Descriptor;

    /// <summary>A second description of a file without a name. Takes over a reference of the first.</summary>
    private HostFile(HostFile original, int flags)
        : base(original.Dentry, flags)
    {
        _content = original._content;
        _original = original;
    }

    /// <summary>Positions are kept here, so that one host descriptor serves for as much as it is open for.</summary>
    public override long Reopen(GuestThread thread, int flags, out OpenFile? file)
    {
        file = null;
        if (!IsOpenFor(flags))
            return -EACCES;
        if ((flags & O_TRUNC) != 0)
        {
            long result = CanWrite ? _content.SetLength(0) : -EACCES;
            if (result < 0)
                return result;
        }
        if (!TryAcquire())
            return -ENXIO;
        file = new HostFile(this, flags);
        return 0;
    }
    public override bool MovesBytesOnly => true;

    public override long ReadAt(Span<byte> buffer, long offset)
    {
        nint count;
        do
        {
            count = Descriptor.ReadAt(buffer, offset);
        }
        while (count == -EINTR);
        return count;
    }

    // pwrite on O_APPEND appends, on Linux (BUGS in pwrite(2)).
    public override long WriteAt(ReadOnlySpan<byte> buffer, long offset) =>
        (StatusFlags & O_APPEND) != 0 ? Append(buffer, out _) : _content.Write(buffer, offset);

    protected override long Append(ReadOnlySpan<byte> buffer, out long end) => _content.Append(buffer, out end);

    protected override long GetLength()
    {
        int result = Descriptor.GetStatus(out stat status);
        return result < 0 ? result : status.st_size;
    }

    // lseek moves the host's position, which nothing here uses.
    protected override long Next(long offset, bool data) =>
        HostCalls.Seek(Descriptor, offset, data ? SEEK_DATA : SEEK_HOLE);

    public override long GetStatus(out InodeStatus status)
    {
        long result = HostCalls.GetStatus(Descriptor.Value, out statx fresh);
        if (result == 0 && Inode is HostInode inode)
        {
            status = inode.Remember(fresh);
            return 0;
        }
        return result < 0 ? Fail(result, out status) : base.GetStatus(out status);
    }

    private static long Fail(long result, out InodeStatus status)
    {
        status = default;
        return result;
    }

    public override long SetStatus(in StatusChange change)
    {
        if (Dentry.Mount.IsReadOnly)
            return -EROFS;
        long result = GetStatus(out InodeStatus now);
        if (result < 0)
            return result;
        if ((change.Uid ?? now.Uid) != now.Uid || (change.Gid ?? now.Gid) != now.Gid)
            return -EPERM;
        if (change.Permissions is { } mode
            && fchmod(Descriptor.Value, mode & 0xfff & ~(uint)(S_ISUID | S_ISGID)) != 0)
            return -errno;
        if (change.AccessTime is null && change.ModifyTime is null)
            return 0;
        timespec omit = new() { tv_nsec = UTIME_OMIT };
        return HostCalls.SetTimes(Descriptor.Value, change.AccessTime ?? omit, change.ModifyTime ?? omit);
    }

    public override long Truncate(long length) => _content.SetLength(length);

    public override long Allocate(int mode, long offset, long length) => _content.Allocate(mode, offset, length);

    public override long Synchronize(bool dataOnly) =>
        (dataOnly ? fdatasync(Descriptor.Value) : fsync(Descriptor.Value)) == 0 ? 0 : -errno;

    public override IMappable? Mappable => new HostFileMapping(
        Descriptor, CanWrite, DisplayName, Inode.Identity.Device, Inode.Identity.Number) { Hold = _content.Hold };

    protected override void Close()
    {
        base.Close();
        _original?.Release();
        if (!_ownsContent)
            return;
        _content.Dispose();
        ((HostFileSystem)Inode.FileSystem).Cache.ReleaseFile();
    }
}

/// <summary>
/// A single host file that the plan grants. All opens share the descriptor that came with the plan, which was
/// opened for exactly what the grant allows.
/// </summary>
sealed class HostGrantedFile(HostFileSystem fileSystem, in statx status, HostContent content)
    : Inode(fileSystem, status.stx_ino, (uint)status.stx_mode & S_IFMT)
{
    public override long GetStatus(Dentry self, out InodeStatus status)
    {
        long result = HostCalls.GetStatus(fileSystem.RootDescriptor.Value, out statx fresh);
        status = result == 0 ? fileSystem.ToGuest(fresh, fileSystem.Device) : default;
        return result;
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        if (!IsRegular)
            return -EACCES;
        long result = (flags & O_TRUNC) != 0 ? content.SetLength(0) : 0;
        if (result < 0)
            return result;
        file = new HostFile(self, flags, content, ownsContent: false);
        return 0;
    }

    public override long SetLength(in Caller caller, Dentry self, long length) => content.SetLength(length);

    public override long SetStatus(Dentry self, in StatusChange change)
    {
        HostFile file = new(self, O_RDWR, content, ownsContent: false);
        long result = file.SetStatus(change);
        file.Release();
        return result;
    }
}
