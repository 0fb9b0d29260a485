using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// The guest's file tree: everything that path names mean. Operations take a <see cref="Caller"/> and answer 0 or a
/// negative errno, in the order of checks that the kernel has. -ESTALE: what a path led to was replaced before it was
/// used; the path is to be walked again.
/// </summary>
public sealed partial class VirtualFileSystem
{
    private readonly List<Mount> _mounts = [];

    /// <summary>Those up to here belong to files without a name: pipes, sockets and the like.</summary>
    private int _lastDevice = 31;

    /// <summary>The guest's root directory.</summary>
    public Dentry Root { get; }

    public LockTable Locks { get; } = new();

    public FileWatches Watches { get; } = new();

    public IReadOnlyList<Mount> Mounts => _mounts;

    /// <summary>Where what has no name belongs: memory files, and what /proc/self/fd leads to outside the tree.</summary>
    internal Mount UnnamedFiles { get; }

    /// <summary>Opens fifos of the in-memory trees. Null: -ENXIO.</summary>
    public SpecialFileOpener? FifoOpener { get; set; }

    /// <summary>Opens /dev/tty: the controlling terminal of the caller's session. Null: -ENXIO.</summary>
    public SpecialFileOpener? TerminalOpener { get; set; }

    /// <summary>Opens /dev/ptmx. Null: -ENXIO.</summary>
    public SpecialFileOpener? PseudoTerminalOpener { get; set; }

    /// <summary>What /dev/pts holds; null shows it empty.</summary>
    public IPseudoTerminals? PseudoTerminals { get; set; }

    /// <summary>A new anonymous device number (major 0), as the kernel gives to file systems without a device.</summary>
    internal ulong NewDevice() => makedev(0, (uint)Interlocked.Increment(ref _lastDevice));

    /// <summary>A context for the first process.</summary>
    public FileSystemContext CreateContext(Dentry workingDirectory) => new(Root, workingDirectory, 0x12);

    /// <summary>Where a relative path of an *at call starts.</summary>
    /// <returns>0, -EBADF, or -ENOTDIR when the descriptor is no file of the tree.</returns>
    public static long Start(GuestThread thread, int descriptor, ReadOnlySpan<byte> path, out Dentry start)
    {
        FileSystemContext context = thread.Process.FileSystem;
        start = context.WorkingDirectory;
        if (descriptor == AT_FDCWD || (path.Length > 0 && path[0] == '/'))
            return 0;
        OpenFile? file = thread.Descriptors.Acquire(descriptor);
        if (file is null)
            return -EBADF;
        long result = -ENOTDIR;
        if (file is InodeFile inodeFile)
        {
            start = inodeFile.Dentry;
            result = 0;
        }
        file.Release();
        return result;
    }

    public static long Resolve(
        in Caller caller, Dentry start, ReadOnlySpan<byte> path, WalkFlags flags, out Dentry? target) =>
        PathWalk.Resolve(caller, start, path, flags, out target);

    /// <summary>access(2): permissions, and writing on read-only mounts.</summary>
    public static long CheckAccess(in Caller caller, Dentry target, int mask)
    {
        if ((mask & W_OK) != 0 && IsProtected(target))
            return PathGuard.RefuseReadOnly(target, default, PathAccess.Write);
        if (mask == 0)
            return 0;
        long result = target.Inode.CheckAccess(target, caller.Credentials, mask);
        return result < 0 ? result : CheckRules(target, mask);
    }

    private static long CheckRules(Dentry target, int mask)
    {
        PathAccess access = (mask & R_OK) != 0 ? PathAccess.Read : PathAccess.None;
        if ((mask & W_OK) != 0)
            access |= PathAccess.Write;
        // Searching a directory is not running it.
        if ((mask & X_OK) != 0 && !target.Inode.IsDirectory)
            access |= PathAccess.Execute;
        return access == PathAccess.None ? PathGuard.CheckVisible(target) : PathGuard.Check(target, access);
    }

    /// <summary>
    /// A read-only mount protects files and directories; device nodes and fifos on it can be written, and so can what
    /// /proc/self/fd leads to outside the tree.
    /// </summary>
    private static bool IsProtected(Dentry target) => target.Mount.IsReadOnly
        && (target.Inode.Type is S_IFREG or S_IFDIR or S_IFLNK) && target.Inode is not LinkedFileInode;

    /// <summary>The checks for adding to or removing from a directory.</summary>
    /// <param name="name">What is added or removed; empty for what has no name.</param>
    /// <param name="access">Create or Delete.</param>
    private static long MayChange(in Caller caller, Dentry directory, ReadOnlySpan<byte> name, PathAccess access)
    {
        if (!directory.Inode.IsDirectory)
            return -ENOTDIR;
        return directory.Mount.IsReadOnly
            ? PathGuard.RefuseReadOnly(directory, name, access)
            : directory.Inode.CheckAccess(directory, caller.Credentials, W_OK | X_OK);
    }

    private static long MayRemove(in Caller caller, Dentry directory, Dentry child)
    {
        long result = MayChange(caller, directory, child.Name, PathAccess.Delete);
        if (result < 0)
            return result;
        // What the plan pinned, and what is mounted elsewhere, cannot be taken away.
        if (child.IsPinned || child.IsMountRoot)
            return -EBUSY;
        result = PathGuard.Check(child, PathAccess.Delete);
        if (result < 0)
            return result;
        if (caller.Credentials.FileSystemUid == 0)
            return 0;
        result = directory.Inode.GetStatus(directory, out InodeStatus parent);
        if (result < 0 || (parent.Mode & S_ISVTX) == 0)
            return result;
        result = child.Inode.GetStatus(child, out InodeStatus status);
        if (result < 0)
            return result;
        return Permissions.MayRemove(parent, status, caller.Credentials) ? 0 : -EPERM;
    }
}

/// <summary>The terminals that /dev/pts shows.</summary>
public interface IPseudoTerminals
{
    /// <summary>The numbers in use, ascending.</summary>
    void List(List<int> numbers);

    /// <summary>False when there is no such terminal.</summary>
    bool TryGetStatus(int number, out Owner owner, out uint permissions);

    long Open(GuestThread thread, Dentry dentry, int number, int flags, out OpenFile? file);
}
