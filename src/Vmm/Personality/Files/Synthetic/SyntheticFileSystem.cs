using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>A read-only tree that the VMM makes up: the guest's root, /etc, /dev, /sys.</summary>
public sealed class SyntheticFileSystem(ulong device, string typeName, long magic) : FileSystem(device, typeName, magic)
{
    /// <summary>When the tree was made: the times of everything in it.</summary>
    internal timespec Created { get; } = TemporaryFileSystem.Now();

    public override long GetStatistics(out statfs statistics)
    {
        base.GetStatistics(out statistics);
        statistics.f_flags = ST_RDONLY | ST_NOSUID;
        return 0;
    }
}

/// <summary>Attributes of made-up inodes: fixed, owned by root unless said otherwise.</summary>
public abstract class SyntheticInode(FileSystem fileSystem, ulong number, uint mode) : Inode(fileSystem, number, mode & S_IFMT)
{
    private readonly timespec _time = fileSystem is SyntheticFileSystem tree ? tree.Created : default;

    public uint Mode { get; } = mode;

    public ulong SpecialDevice { get; init; }

    protected virtual long Size => 0;

    protected virtual uint Links => 1;

    protected virtual Owner Owner => default;

    protected virtual timespec Time => _time;

    public override long GetStatus(Dentry self, out InodeStatus status)
    {
        Owner owner = Owner;
        timespec time = Time;
        long size = Size;
        status = new InodeStatus
        {
            Device = FileSystem.Device,
            Number = Number,
            SpecialDevice = SpecialDevice,
            Mode = Mode,
            Links = Links,
            Uid = owner.Uid,
            Gid = owner.Gid,
            Size = size,
            BlockSize = 4096,
            Blocks = IsRegular ? (size + 511) / 512 : 0,
            AccessTime = time,
            ModifyTime = time,
            ChangeTime = time,
        };
        return 0;
    }

    public override long CheckAccess(Dentry self, Credentials credentials, int mask)
    {
        Owner owner = Owner;
        return Permissions.Check(Mode, owner.Uid, owner.Gid, credentials, mask);
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        return IsSymlink ? -ELOOP : -ENXIO;
    }
}

/// <summary>A directory whose entries are fixed when the tree is built: they are pinned to its dentry.</summary>
public sealed class SyntheticDirectory(FileSystem fileSystem, uint permissions = 0x1ed)
    : SyntheticInode(fileSystem, fileSystem.NextNumber(), S_IFDIR | permissions)
{
    protected override uint Links => 2;

    public override long Lookup(Dentry self, ReadOnlySpan<byte> name, in Caller caller, out Dentry? child)
    {
        child = null;
        return -ENOENT;
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = new ListedDirectoryFile(self, flags, entries =>
        {
            if (self.Pinned is { } pinned)
                foreach (Dentry child in pinned.Values)
                    entries.Add(child.Name, child.Inode.Number, child.Inode.Type);
            return 0;
        });
        return 0;
    }
}

/// <summary>A symbolic link with a fixed text.</summary>
public sealed class SyntheticSymlink(FileSystem fileSystem, byte[] target)
    : SyntheticInode(fileSystem, fileSystem.NextNumber(), S_IFLNK | 0x1ff)
{
    protected override long Size => target.Length;

    public override long ReadLink(Dentry self, in Caller caller, out byte[] text)
    {
        text = target;
        return 0;
    }
}

/// <summary>A read-only file with a fixed content.</summary>
/// <param name="memory">Where mmap(2) finds a copy of the content; null for -ENODEV.</param>
public sealed class SyntheticFile(
    FileSystem fileSystem, byte[] content, uint permissions = 0x1a4, GuestMemory? memory = null)
    : SyntheticInode(fileSystem, fileSystem.NextNumber(), S_IFREG | permissions)
{
    private readonly Lock _lock = new();
    private PagedObject? _pages;

    protected override long Size => content.Length;

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = new SnapshotFile(self, flags, content) { Map = () => Map(self), IsShared = true };
        return 0;
    }

    /// <summary>The content as pages of the guest's memory, made once; null when the memory limit has no room.</summary>
    private PagedObject? Map(Dentry self)
    {
        if (memory is null)
            return null;
        lock (_lock)
        {
            if (_pages is not null)
                return _pages;
            PagedObject pages = memory.CreateObject(self.ToString(), FileSystem.Device, Number, null);
            if (content.Length > 0 && pages.Write(0, content) != content.Length)
            {
                pages.Release();
                return null;
            }
            return _pages = pages;
        }
    }
}

/// <summary>A file whose content is made when it is opened.</summary>
/// <param name="generate">Runs on the opening thread.</param>
public sealed class GeneratedFile(FileSystem fileSystem, Func<Caller, byte[]> generate, uint permissions = 0x124)
    : SyntheticInode(fileSystem, fileSystem.NextNumber(), S_IFREG | permissions)
{
    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = new SnapshotFile(self, flags, generate(caller));
        return 0;
    }
}

/// <summary>An open file that shows bytes fixed at open.</summary>
public sealed class SnapshotFile(Dentry dentry, int flags, byte[] content) : PositionedFile(dentry, flags)
{
    /// <summary>False when the content is the open file's own, true when its inode holds it anyway.</summary>
    public bool IsShared { get; init; }

    protected override long HeldBytes => IsShared ? 0 : content.Length;

    /// <summary>What mmap(2) maps.</summary>
    public Func<IMappable?>? Map { get; init; }

    public override IMappable? Mappable => Map?.Invoke();

    /// <summary>What a write does, for the few files of /proc that take one; null for -EINVAL.</summary>
    public Func<byte[], long>? OnWrite { get; init; }

    public override long ReadAt(Span<byte> buffer, long offset)
    {
        if (offset < 0)
            return -EINVAL;
        if (offset >= content.Length)
            return 0;
        int count = (int)Math.Min(buffer.Length, content.Length - offset);
        content.AsSpan((int)offset, count).CopyTo(buffer);
        return count;
    }

    public override long WriteAt(ReadOnlySpan<byte> buffer, long offset)
    {
        if (OnWrite is null)
            return -EINVAL;
        // Nothing that these files take is longer.
        if (buffer.Length > 4096)
            return -EINVAL;
        long result = OnWrite(buffer.ToArray());
        return result < 0 ? result : buffer.Length;
    }

    protected override long Append(ReadOnlySpan<byte> buffer, out long end)
    {
        end = 0;
        return WriteAt(buffer, 0);
    }

    protected override long GetLength() => content.Length;

    public override long Synchronize(bool dataOnly) => -EINVAL;
}
