using System.Runtime.InteropServices;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// A directory of a tmpfs. Entries keep the order in which they were made, each with a cookie that never changes, so
/// that reading goes on at the right place whatever is added or removed meanwhile.
/// </summary>
public sealed class TemporaryDirectory : TemporaryInode
{
    /// <summary>Cookies of '.' and '..' come first.</summary>
    internal const long DotCookie = 1;
    internal const long DotDotCookie = 2;

    private readonly Dictionary<byte[], Entry> _entries = new(NameComparer.Instance);
    private readonly List<Entry> _order = [];
    private long _lastCookie = DotDotCookie;

    internal sealed class Entry(Dentry dentry, long cookie)
    {
        public Dentry Dentry { get; set; } = dentry;

        public long Cookie { get; } = cookie;

        public bool IsRemoved { get; set; }
    }

    public TemporaryDirectory(TemporaryFileSystem fileSystem, uint mode, Owner owner)
        : base(fileSystem, S_IFDIR | (mode & 0xfff), owner) => Links = 2;

    protected override long Size => (_entries.Count + 2) * 20;

    public override long Lookup(Dentry self, ReadOnlySpan<byte> name, in Caller caller, out Dentry? child)
    {
        lock (Lock)
        {
            child = Find(name)?.Dentry;
            return child is null ? -ENOENT : 0;
        }
    }

    public override long CreateNode(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner, out Dentry? child)
    {
        TemporaryInode inode = (mode & S_IFMT) switch
        {
            S_IFREG => new TemporaryRegular(FileSystem, mode, Inherit(owner)),
            S_IFIFO or S_IFSOCK => new TemporarySpecial(FileSystem, mode, Inherit(owner)),
            _ => throw new ArgumentOutOfRangeException(nameof(mode), "the call layer lets only these types through"),
        };
        return Add(self, name, inode, out child);
    }

    public override long CreateAndOpen(
        in Caller caller, Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner, int flags, out OpenFile? file)
    {
        file = null;
        TemporaryRegular inode = new(FileSystem, S_IFREG | (mode & 0xfff), Inherit(owner));
        inode.TryAddUser();
        long result = Add(self, name, inode, out Dentry? child);
        if (result == 0)
            file = new TemporaryFile(child!, inode, flags);
        return result;
    }

    public override long CreateUnnamed(
        in Caller caller, Dentry self, uint mode, in Owner owner, int flags, out OpenFile? file)
    {
        file = null;
        if (FileSystem.Budget?.TryChargeInode() == false)
            return -ENOSPC;
        TemporaryRegular inode = new(FileSystem, S_IFREG | (mode & 0xfff), Inherit(owner))
        {
            MayGetFirstName = (flags & O_EXCL) == 0,
        };
        inode.TryAddUser();
        Dentry dentry = new(self, System.Text.Encoding.ASCII.GetBytes($"#{inode.Number}"), inode, self.Mount)
        {
            IsUnlinked = true,
        };
        file = new TemporaryFile(dentry, inode, flags);
        return 0;
    }

    public override long MakeDirectory(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner)
    {
        TemporaryDirectory directory = new(FileSystem, mode | (Mode & S_ISGID), Inherit(owner));
        return Add(self, name, directory, out _);
    }

    public override long MakeSymlink(Dentry self, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in Owner owner)
    {
        bool isLong = target.Length > TemporarySymlink.ShortText;
        if (isLong && FileSystem.Budget?.Pages.TryCharge(1) == false)
            return -ENOSPC;
        long result = Add(self, name, new TemporarySymlink(FileSystem, target.ToArray(), Inherit(owner)), out _);
        if (result < 0 && isLong)
            FileSystem.Budget?.Pages.Uncharge(1);
        return result;
    }

    public override long Link(Dentry self, ReadOnlySpan<byte> name, Dentry existing)
    {
        if (existing.Inode is not TemporaryInode inode)
            return -EXDEV;
        lock (Lock)
        {
            if (inode.Links == 0 && !inode.MayGetFirstName)
                return -ENOENT;
            if (inode.Links == uint.MaxValue)
                return -EMLINK;
            if (Links == 0)
                return -ENOENT;
            if (Find(name) is not null)
                return -EEXIST;
            // A name costs what an inode costs: links are no way around the limit either. The first one is paid for.
            if (inode.Links > 0 && FileSystem.Budget?.TryChargeInode() == false)
                return -ENOSPC;
            inode.MayGetFirstName = false;
            inode.Links++;
            inode.TouchChangeLocked();
            Insert(new Dentry(self, name.ToArray(), inode, self.Mount));
            TouchModifyLocked();
            return 0;
        }
    }

    public override long Unlink(Dentry self, Dentry child)
    {
        TemporaryInode inode = (TemporaryInode)child.Inode;
        bool dead, extraName;
        lock (Lock)
        {
            if (Find(child.Name)?.Dentry != child)
                return -ENOENT;
            RemoveEntry(child.Name);
            child.IsUnlinked = true;
            extraName = --inode.Links > 0;
            inode.TouchChangeLocked();
            TouchModifyLocked();
            dead = inode.MarkIfDead();
        }
        if (extraName)
            FileSystem.Budget?.UnchargeInode();
        if (dead)
            inode.Die();
        return 0;
    }

    public override long RemoveDirectory(Dentry self, Dentry child)
    {
        TemporaryDirectory directory = (TemporaryDirectory)child.Inode;
        bool dead;
        lock (Lock)
        {
            if (Find(child.Name)?.Dentry != child)
                return -ENOENT;
            if (directory._entries.Count > 0)
                return -ENOTEMPTY;
            dead = DropDirectory(child, directory);
            TouchModifyLocked();
        }
        if (dead)
            directory.Die();
        return 0;
    }

    private bool DropDirectory(Dentry child, TemporaryDirectory directory)
    {
        RemoveEntry(child.Name);
        child.IsUnlinked = true;
        directory.Links = 0;
        directory.TouchChangeLocked();
        Links--;
        return directory.MarkIfDead();
    }

    public override long Rename(
        Dentry self, Dentry child, Dentry newParent, ReadOnlySpan<byte> newName, Dentry? replaced, uint flags)
    {
        TemporaryDirectory target = (TemporaryDirectory)newParent.Inode;
        TemporaryInode moved = (TemporaryInode)child.Inode;
        TemporaryInode? victim = replaced?.Inode as TemporaryInode;
        bool victimDead = false, extraName = false;
        lock (Lock)
        {
            if (Find(child.Name)?.Dentry != child || target.Find(newName)?.Dentry != replaced)
                return -ENOENT;
            if (target.Links == 0)
                return -ENOENT;
            byte[] oldName = child.Name;
            if ((flags & RENAME_EXCHANGE) != 0)
            {
                Exchange(self, child, newParent, target, replaced!, oldName);
                return 0;
            }
            if (victim is not null)
            {
                if (victim == moved)
                    return 0;
                if (victim is TemporaryDirectory directory)
                {
                    if (directory._entries.Count > 0)
                        return -ENOTEMPTY;
                    victimDead = target.DropDirectory(replaced!, directory);
                }
                else
                {
                    target.RemoveEntry(replaced!.Name);
                    replaced.IsUnlinked = true;
                    extraName = --victim.Links > 0;
                    victim.TouchChangeLocked();
                    victimDead = victim.MarkIfDead();
                }
            }
            RemoveEntry(oldName);
            child.Move(newParent, newName.ToArray());
            target.Insert(child);
            if (moved is TemporaryDirectory && target != this)
            {
                Links--;
                target.Links++;
            }
            moved.TouchChangeLocked();
            TouchModifyLocked();
            target.TouchModifyLocked();
        }
        if (extraName)
            FileSystem.Budget?.UnchargeInode();
        if (victimDead)
            victim!.Die();
        return 0;
    }

    private void Exchange(
        Dentry self, Dentry child, Dentry newParent, TemporaryDirectory target, Dentry other, byte[] oldName)
    {
        byte[] otherName = other.Name;
        Entry mine = Find(oldName)!, theirs = target.Find(otherName)!;
        mine.Dentry = other;
        theirs.Dentry = child;
        child.Move(newParent, otherName);
        other.Move(self, oldName);
        if (target != this && child.Inode.IsDirectory != other.Inode.IsDirectory)
        {
            TemporaryDirectory loser = child.Inode.IsDirectory ? this : target;
            TemporaryDirectory winner = child.Inode.IsDirectory ? target : this;
            loser.Links--;
            winner.Links++;
        }
        ((TemporaryInode)child.Inode).TouchChangeLocked();
        ((TemporaryInode)other.Inode).TouchChangeLocked();
        TouchModifyLocked();
        target.TouchModifyLocked();
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = TryAddUser() ? new TemporaryDirectoryFile(self, this, flags) : null;
        return file is null ? -ESTALE : 0;
    }

    /// <summary>Fills records from a cookie on. Under no lock.</summary>
    internal long ReadEntries(Dentry self, Span<byte> buffer, ref long position)
    {
        lock (Lock)
        {
            if (Links == 0)
                return -ENOENT;
            int used = 0;
            if (position < DotCookie)
            {
                if (!DirectoryFile.TryWriteRecord(buffer, ref used, Number, DotCookie, S_IFDIR, "."u8))
                    return -EINVAL;
                position = DotCookie;
            }
            if (position < DotDotCookie)
            {
                ulong parent = (self.Parent ?? self).Inode.Number;
                if (!DirectoryFile.TryWriteRecord(buffer, ref used, parent, DotDotCookie, S_IFDIR, ".."u8))
                    return used > 0 ? used : -EINVAL;
                position = DotDotCookie;
            }
            Span<Entry> order = CollectionsMarshal.AsSpan(_order);
            for (int i = FirstAfter(order, position); i < order.Length; i++)
            {
                Entry entry = order[i];
                if (entry.IsRemoved)
                    continue;
                Dentry shown = self.Pinned is { } pinned && pinned.TryGetValue(entry.Dentry.Name, out Dentry? over)
                    ? over
                    : entry.Dentry;
                if (!DirectoryFile.TryWriteRecord(
                        buffer, ref used, shown.Inode.Number, entry.Cookie, shown.Inode.Type, shown.Name))
                    return used > 0 ? used : -EINVAL;
                position = entry.Cookie;
            }
            return used;
        }
    }

    private static int FirstAfter(ReadOnlySpan<Entry> order, long cookie)
    {
        int low = 0, high = order.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (order[middle].Cookie <= cookie)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    private Owner Inherit(Owner owner) => (Mode & S_ISGID) != 0 ? owner with { Gid = Gid } : owner;

    private long Add(Dentry self, ReadOnlySpan<byte> name, TemporaryInode inode, out Dentry? child)
    {
        child = null;
        lock (Lock)
        {
            if (Links == 0)
                return -ENOENT;
            if (Find(name) is not null)
                return -EEXIST;
            if (FileSystem.Budget?.TryChargeInode() == false)
                return -ENOSPC;
            if (inode is TemporaryDirectory)
                Links++;
            else
                inode.Links = 1;
            child = new Dentry(self, name.ToArray(), inode, self.Mount);
            Insert(child);
            TouchModifyLocked();
            return 0;
        }
    }

    private Entry? Find(ReadOnlySpan<byte> name) =>
        _entries.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out Entry? entry) ? entry : null;

    private void Insert(Dentry dentry)
    {
        Entry entry = new(dentry, ++_lastCookie);
        _entries.Add(dentry.Name, entry);
        _order.Add(entry);
    }

    private void RemoveEntry(byte[] name)
    {
        if (!_entries.Remove(name, out Entry? entry))
            return;
        entry.IsRemoved = true;
        if (_order.Count >= 32 && _order.Count > 2 * _entries.Count)
            _order.RemoveAll(static e => e.IsRemoved);
    }
}

/// <summary>An open tmpfs directory.</summary>
sealed class TemporaryDirectoryFile(Dentry dentry, TemporaryDirectory directory, int flags) : DirectoryFile(dentry, flags)
{
    private readonly Lock _lock = new();
    private long _position;

    public override long ReadEntries(Span<byte> buffer)
    {
        lock (_lock)
        {
            long count = directory.ReadEntries(Dentry, buffer, ref _position);
            if (count > 0)
                directory.TouchAccess();
            return count;
        }
    }

    public override long Seek(long offset, int whence)
    {
        lock (_lock)
        {
            long target = whence switch
            {
                SEEK_SET => offset,
                SEEK_CUR => unchecked(_position + offset),
                _ => -1,
            };
            return target < 0 ? -EINVAL : _position = target;
        }
    }
}
