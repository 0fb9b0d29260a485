using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>proc(5): the guest's own processes and limits. Nothing in it comes from the host's /proc.</summary>
sealed class ProcFileSystem(ulong device, LinuxPersonality personality) : FileSystem(device, "proc", PROC_SUPER_MAGIC)
{
    public LinuxPersonality Personality { get; } = personality;

    /// <summary>Inode numbers of a process's or thread's files, stable while it lives.</summary>
    public static ulong Number(int id, int entry) => (1UL << 40) | ((ulong)(uint)id << 16) | (uint)entry;
}

/// <summary>An inode whose attributes are those of a process: its user owns it.</summary>
abstract class ProcInode(ProcFileSystem fileSystem, ulong number, uint mode, Process? process)
    : SyntheticInode(fileSystem, number, mode)
{
    public ProcFileSystem Proc { get; } = fileSystem;

    public Process? Process { get; } = process;

    protected override Owner Owner =>
        Process?.Credentials is { } credentials ? new(credentials.EffectiveUid, credentials.EffectiveGid) : default;

    protected override Sandbox.Host.timespec Time => TemporaryFileSystem.Now();

    /// <summary>
    /// Whether the caller may see what is private to the process (ptrace(2), PTRACE_MODE_READ): its own user or root.
    /// </summary>
    protected static bool MayInspect(in Caller caller, Process process)
    {
        Credentials mine = caller.Credentials;
        if (mine.FileSystemUid == 0 || caller.Thread?.Process == process)
            return true;
        Credentials other = process.Credentials;
        return mine.FileSystemUid == other.RealUid && mine.FileSystemUid == other.EffectiveUid
            && mine.FileSystemUid == other.SavedUid;
    }
}

/// <summary>A file whose text is made when it is opened.</summary>
/// <param name="isPrivate">Only who may inspect the process gets to see it.</param>
sealed class ProcText(
    ProcFileSystem fileSystem, ulong number, uint permissions, Process? process, Func<Caller, byte[]> generate,
    Func<Caller, byte[], long>? write = null, bool isPrivate = false)
    : ProcInode(fileSystem, number, S_IFREG | permissions, process)
{
    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        if (isPrivate && !MayInspect(caller, Process!))
            return -EACCES;
        Caller opener = caller;
        file = new SnapshotFile(self, flags, (flags & O_ACCMODE) == O_WRONLY ? [] : generate(caller))
        {
            OnWrite = write is null ? null : text => write(opener, text),
        };
        return 0;
    }

    /// <summary>Opening with O_TRUNC is how shells write to such files; there is nothing to cut.</summary>
    public override long SetLength(in Caller caller, Dentry self, long length) => 0;
}

/// <summary>A link with a computed text.</summary>
sealed class ProcLink(ProcFileSystem fileSystem, ulong number, Func<Caller, byte[]?> read)
    : ProcInode(fileSystem, number, S_IFLNK | 0x1ff, null)
{
    public override long ReadLink(Dentry self, in Caller caller, out byte[] target)
    {
        byte[]? text = read(caller);
        target = text ?? [];
        return text is null ? -ENOENT : 0;
    }
}

/// <summary>A link that leads to an object of a process: /proc/PID/exe, cwd, root and fd/N.</summary>
/// <param name="find">The open file or the place, or neither when it is gone. A file comes with a reference.</param>
/// <param name="size">st_size, which says nothing of the text's length.</param>
sealed class ProcMagicLink(
    ProcFileSystem fileSystem, ulong number, uint permissions, Process process,
    Func<Process, (OpenFile? File, Dentry? Place)> find, long size = 0)
    : ProcInode(fileSystem, number, S_IFLNK | permissions, process)
{
    protected override long Size => size;

    public override bool IsMagicLink => true;

    public override long ReadLink(Dentry self, in Caller caller, out byte[] target)
    {
        target = [];
        if (!MayInspect(caller, Process!))
            return -EACCES;
        (OpenFile? file, Dentry? place) = find(Process!);
        place ??= file?.Place;
        long result = 0;
        if (place is not null)
            target = place.GetPath(caller.Root);
        else if (file is not null)
            target = System.Text.Encoding.UTF8.GetBytes(file.DisplayName);
        else
            result = -ENOENT;
        file?.Release();
        return result;
    }

    public override long FollowMagicLink(in Caller caller, out Dentry? target)
    {
        target = null;
        if (!MayInspect(caller, Process!))
            return -EACCES;
        (OpenFile? file, Dentry? place) = find(Process!);
        target = place ?? file?.Place;
        if (file is HostFile { Dentry.IsUnlinked: true } || (target is null && file is not null))
        {
            // A pipe, a socket, a terminal, a host file without a name: no place in the tree, but something that may be
            // opened again.
            target = new Dentry(
                null, System.Text.Encoding.UTF8.GetBytes(file.DisplayName), new LinkedFileInode(Proc, file),
                Proc.Personality.Files.UnnamedFiles);
        }
        file?.Release();
        return target is null ? -ENOENT : 0;
    }
}

/// <summary>What a magic link to a file outside the tree leads to.</summary>
sealed class LinkedFileInode : Inode
{
    private readonly WeakReference<OpenFile> _file;

    public LinkedFileInode(FileSystem fileSystem, OpenFile file)
        : base(fileSystem, 0, TypeOf(file)) => _file = new(file);

    private static uint TypeOf(OpenFile file) =>
        file.GetStatus(out Sandbox.Host.stat status) == 0 ? status.st_mode & S_IFMT : 0;

    public override long GetStatus(Dentry self, out InodeStatus status)
    {
        status = default;
        if (!TryGet(out OpenFile? file))
            return -ENOENT;
        long result = file!.GetStatus(out Sandbox.Host.stat small);
        status = InodeStatus.FromStat(small);
        file.Release();
        return result;
    }

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = null;
        if (caller.Thread is not { } thread || !TryGet(out OpenFile? original))
            return -ENXIO;
        long result = original!.Reopen(thread, flags, out file);
        original.Release();
        return result;
    }

    private bool TryGet(out OpenFile? file) => _file.TryGetTarget(out file) && file.TryAcquire();
}

/// <summary>A directory of /proc: named entries, made when they are looked up.</summary>
abstract class ProcDirectory(ProcFileSystem fileSystem, ulong number, uint permissions, Process? process)
    : ProcInode(fileSystem, number, S_IFDIR | permissions, process)
{
    protected override uint Links => 2;

    protected abstract Inode? Find(ReadOnlySpan<byte> name, in Caller caller);

    protected abstract void List(ListedDirectoryFile.Listing entries);

    public override long Lookup(Dentry self, ReadOnlySpan<byte> name, in Caller caller, out Dentry? child)
    {
        Inode? inode = Find(name, caller);
        child = inode is null ? null : new Dentry(self, name.ToArray(), inode, self.Mount);
        return child is null ? -ENOENT : 0;
    }

    /// <summary>There are no names in /proc but its own: Linux says so with ENOENT.</summary>
    public override long CreateNode(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner, out Dentry? child)
    {
        child = null;
        return -ENOENT;
    }

    public override long MakeDirectory(Dentry self, ReadOnlySpan<byte> name, uint mode, in Owner owner) => -ENOENT;

    public override long Open(in Caller caller, Dentry self, int flags, out OpenFile? file)
    {
        file = new ListedDirectoryFile(self, flags, entries =>
        {
            if (self.Pinned is { } pinned)
                foreach (Dentry child in pinned.Values)
                    entries.Add(child.Name, child.Inode.Number, child.Inode.Type);
            List(entries);
            return 0;
        });
        return 0;
    }
}
