using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Audit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>A set of inodes with one device number: what a mount shows.</summary>
public abstract class FileSystem(ulong device, string typeName, long magic)
{
    private long _lastNumber;

    /// <summary>st_dev as the guest sees it: an anonymous device of the guest, never the host's number.</summary>
    public ulong Device { get; } = device;

    /// <summary>As in /proc/filesystems.</summary>
    public string TypeName { get; } = typeName;

    /// <summary>f_type of statfs(2).</summary>
    public long Magic { get; } = magic;

    /// <summary>Inode numbers for file systems that make their own.</summary>
    public ulong NextNumber() => (ulong)Interlocked.Increment(ref _lastNumber);

    public virtual long GetStatistics(out statfs statistics)
    {
        statistics = new statfs { f_type = Magic, f_bsize = 4096, f_frsize = 4096, f_namelen = NAME_MAX };
        return 0;
    }

    public virtual long Synchronize() => 0;
}

/// <summary>One line of mountinfo: a file system at a place of the tree. The set of mounts never changes.</summary>
public sealed class Mount(int id, FileSystem fileSystem, bool readOnly, string source, FileWatches watches)
{
    public int Id { get; } = id;

    public FileSystem FileSystem { get; } = fileSystem;

    public bool IsReadOnly { get; } = readOnly;

    /// <summary>What mountinfo shows as the source. Nothing of the host.</summary>
    public string Source { get; } = source;

    public Dentry Root { get; internal set; } = null!;

    /// <summary>Held by whoever acts on a name of this mount.</summary>
    public NameLock Names { get; } = new();

    /// <summary>Of the whole tree: who hears of changes.</summary>
    public FileWatches Watches { get; } = watches;

    /// <summary>The policy's path rules; null when the plan has none, and for files without a name.</summary>
    public PathRules? Rules { get; init; }

    /// <summary>For files without a name: the rules on whether they may be executed; null when the plan has none.</summary>
    public PathRules? ExecutionRules { get; init; }

    /// <summary>Where decisions are recorded; null when they are not.</summary>
    public DecisionRecorder? Recorder { get; init; }
}
