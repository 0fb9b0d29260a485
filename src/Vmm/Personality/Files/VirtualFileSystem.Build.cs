using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Audit;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// The tree is built once, from the plan; afterwards no mount comes or goes.
public sealed partial class VirtualFileSystem
{
    /// <summary>Guest directories that the host does not change while a guest runs, when granted read-only.</summary>
    private static readonly string[] StableDirectories =
        ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

    private readonly SyntheticFileSystem _rootFileSystem;
    private readonly Mount _rootMount;
    private readonly HostTreeCache _hostCache;
    private readonly TemporaryFileSystem _memoryFiles;

    private readonly PathRules? _pathRules;

    private readonly DecisionRecorder? _recorder;

    /// <summary>What open files are charged to; null outside a guest.</summary>
    private readonly KernelMemory? _kernelMemory;

    /// <param name="personality">Whose processes /proc shows; null leaves /proc and /sys away.</param>
    /// <param name="user">The plan's user.</param>
    /// <param name="files">The plan's tree, shallow paths first.</param>
    /// <param name="descriptors">What the plan's indexes refer to. The tree takes over those it uses.</param>
    /// <param name="temporaryBytes">For all in-memory directories together.</param>
    /// <param name="pathRules">What may be done to which paths beyond what the tree says; null for no such rules.</param>
    /// <param name="recorder">Where decisions by the rules are recorded; null when they are not.</param>
    /// <exception cref="HostException">A granted descriptor is not what the plan says.</exception>
    public VirtualFileSystem(
        LinuxPersonality? personality, GuestUser user, IReadOnlyList<GuestFile> files,
        IReadOnlyList<FileDescriptor> descriptors, GuestMemory? memory, ulong temporaryBytes, PathRules? pathRules = null,
        DecisionRecorder? recorder = null)
    {
        _kernelMemory = personality?.KernelMemory;
        _pathRules = pathRules;
        _recorder = recorder;
        _hostCache = new(maximumFiles: HostDescriptors.RaiseLimit());
        _rootFileSystem = new(NewDevice(), "rootfs", TMPFS_MAGIC);
        _rootMount = AddMount(_rootFileSystem, readOnly: true, "none");
        Root = new Dentry(null, [], new SyntheticDirectory(_rootFileSystem), _rootMount);
        _rootMount.Root = Root;
        _memoryFiles = new(NewDevice(), memory, null);
        UnnamedFiles = new(0, _memoryFiles, readOnly: false, "none", Watches)
        {
            ExecutionRules = pathRules, Recorder = recorder,
        };

        StorageBudget budget = new(temporaryBytes);
        HostIdentities? identities = null;
        HostGrowth growth = new(_kernelMemory);
        Owner owner = new(user.Uid, user.Gid);
        if (files.Any(static file => file is { Kind: GuestFileKind.Host, Writable: true }))
        {
            // Modes of new host files are the guest's, whose own mask has been applied already.
            umask(0);
        }

        PlaceDevices(memory, budget, files);
        if (personality is not null)
        {
            PlaceProc(personality);
            PlaceSys(personality);
        }
        foreach (GuestFile file in files)
        {
            byte[] path = Encoding.UTF8.GetBytes(file.Path);
            switch (file.Kind)
            {
                case GuestFileKind.Directory:
                    Place(path, parent => file.Mode == 0
                        ? new SyntheticDirectory(_rootFileSystem)
                        : new SyntheticDirectory(_rootFileSystem, file.Mode));
                    break;
                case GuestFileKind.Text:
                    byte[] content = Encoding.UTF8.GetBytes(file.Content!);
                    Place(path, parent => new SyntheticFile(
                        _rootFileSystem, content, file.Mode == 0 ? 0x1a4 : file.Mode, memory));
                    break;
                case GuestFileKind.Symlink:
                    byte[] target = Encoding.UTF8.GetBytes(file.Content!);
                    Place(path, parent => new SyntheticSymlink(_rootFileSystem, target));
                    break;
                case GuestFileKind.Temporary:
                    uint mode = file.Mode != 0 ? file.Mode : file.Path is "/tmp" or "/dev/shm" or "/var/tmp" ? 0x3ffu : 0x1ed;
                    StorageBudget own = file.Bytes == 0 ? budget : new StorageBudget(file.Bytes, budget);
                    TemporaryFileSystem temporary = new(NewDevice(), memory, own);
                    // A directory open to all is root's, as /tmp is; others are the user's.
                    PlaceMount(path, temporary, readOnly: false, "tmpfs",
                        temporary.CreateRoot(mode, (mode & S_IWOTH) != 0 ? default : owner));
                    break;
                case GuestFileKind.Host:
                    identities ??= HostIdentities.OfThisProcess(user.Uid, user.Gid);
                    HostFileSystem host = new(
                        NewDevice(), descriptors[file.Descriptor], !file.Writable, IsStable(file.Path), identities,
                        _hostCache, NewDevice, file.Bytes == 0 ? null : new HostQuota(new StorageBudget(file.Bytes), growth));
                    PlaceMount(path, host, !file.Writable, "host", host.CreateRoot());
                    break;
                default:
                    throw new InvalidOperationException($"unknown kind of file {file.Kind}");
            }
        }
    }

    private static bool IsStable(string path)
    {
        foreach (string directory in StableDirectories)
        {
            if (path == directory || path.StartsWith(directory + "/", StringComparison.Ordinal))
                return true;
        }
        return false;
    }

    private Mount AddMount(FileSystem fileSystem, bool readOnly, string source)
    {
        Mount mount = new(_mounts.Count + 1, fileSystem, readOnly, source, Watches) { Rules = _pathRules, Recorder = _recorder };
        _mounts.Add(mount);
        return mount;
    }

    /// <summary>Mounts a file system over a path.</summary>
    private Dentry PlaceMount(ReadOnlySpan<byte> path, FileSystem fileSystem, bool readOnly, string source, Inode root)
    {
        Dentry parent = MakeParents(path, out byte[] name);
        Mount mount = AddMount(fileSystem, readOnly, source);
        mount.Root = new Dentry(parent, name, root, mount);
        parent.Pin(mount.Root);
        return mount.Root;
    }

    /// <summary>Puts one inode at a path, in the mount of its parent or, over other file systems, in the root's.</summary>
    private Dentry Place(ReadOnlySpan<byte> path, Func<Dentry, Inode> create)
    {
        Dentry parent = MakeParents(path, out byte[] name);
        Inode inode = create(parent);
        Dentry dentry = new(parent, name, inode, inode.FileSystem == parent.Inode.FileSystem ? parent.Mount : _rootMount);
        parent.Pin(dentry);
        return dentry;
    }

    /// <summary>
    /// The directory that a path's last component goes into. Directories on the way that do not exist are made up;
    /// all become part of the fixed frame. Symbolic links on the way are followed inside the guest's tree.
    /// </summary>
    private Dentry MakeParents(ReadOnlySpan<byte> path, out byte[] name)
    {
        Caller caller = new(Root, Root, Credentials.Of(0, 0), 0, null);
        int last = path.LastIndexOf((byte)'/');
        name = path[(last + 1)..].ToArray();
        if (path.IsEmpty || path[0] != '/' || name.Length is 0 or > NAME_MAX)
            throw new InvalidOperationException("the plan's paths are absolute, normalised and have a last component");
        Dentry current = Root;
        ReadOnlySpan<byte> parents = path[1..Math.Max(last, 1)];
        foreach (Range range in parents.Split((byte)'/'))
        {
            ReadOnlySpan<byte> component = parents[range];
            if (component.IsEmpty)
                continue;
            long result = current.Lookup(component, caller, out Dentry? next);
            if (result == 0 && next!.Inode.IsSymlink)
            {
                result = PathWalk.Resolve(
                    caller, current, component, WalkFlags.Follow | WalkFlags.Directory, out next);
                if (result < 0)
                    throw new HostException((int)-result, "resolve", Encoding.UTF8.GetString(path));
                current = next!;
                continue;
            }
            if (result is -ENOENT or -ENOTDIR || (result == 0 && !next!.Inode.IsDirectory))
            {
                next = MakeDirectory(current, component);
            }
            else if (result < 0)
            {
                throw new HostException((int)-result, "look up", Encoding.UTF8.GetString(path));
            }
            if (!next!.IsPinned)
                current.Pin(next);
            current = next;
        }
        return current;
    }

    private Dentry MakeDirectory(Dentry parent, ReadOnlySpan<byte> name)
    {
        // In a tmpfs it is a real directory, so that what lies beside the mount point stays writable.
        if (parent.Inode is TemporaryDirectory temporary)
        {
            long result = temporary.MakeDirectory(parent, name, 0x1ed, default);
            if (result == 0 && temporary.Lookup(parent, name, default, out Dentry? made) == 0)
                return made!;
            throw new HostException((int)-result, "mkdir", Encoding.UTF8.GetString(name));
        }
        return new Dentry(parent, name.ToArray(), new SyntheticDirectory(_rootFileSystem), _rootMount);
    }
}
