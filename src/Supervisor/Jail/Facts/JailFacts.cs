using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>
/// Everything that the kernel tells of one VMM and what stands around it, read at one time. See
/// <see cref="FactReader"/>; what it means is for <see cref="JailComparison"/> to say.
/// </summary>
sealed record JailFacts
{
    public required int Pid { get; init; }

    /// <summary>The process that started it, as the reader numbers processes.</summary>
    public required int Parent { get; init; }

    /// <summary>Who reads can, or cannot, read everything: for advice.</summary>
    public required bool IsReadByRoot { get; init; }

    public required Reading<ThreadFacts[]> Threads { get; init; }

    /// <summary>uid_map and gid_map of its user namespace, blanks reduced to one.</summary>
    public required Reading<string> UserMap { get; init; }

    public required Reading<string> GroupMap { get; init; }

    /// <summary>Whose /proc/PID/environ is: root's for a process that may not be dumped.</summary>
    public required Reading<uint> FilesOwner { get; init; }

    public required Reading<Dictionary<string, ResourceLimit>> Limits { get; init; }

    public required Reading<string> OomScore { get; init; }

    public required Reading<MountFacts[]> Mounts { get; init; }

    public required Reading<string> Root { get; init; }

    public required Reading<string> WorkingDirectory { get; init; }

    /// <summary>Names of the network interfaces that it sees.</summary>
    public required Reading<string[]> Interfaces { get; init; }

    public required Reading<DescriptorFacts[]> Descriptors { get; init; }

    public required Reading<string> Environment { get; init; }

    /// <summary>The group's folders that were expected, as they are; see <see cref="ExpectedGroup"/>.</summary>
    public required IReadOnlyList<GroupFacts> Groups { get; init; }
}

/// <summary>The threads of a process have credentials, filters and namespaces each of their own.</summary>
/// <param name="Name">Its own choice.</param>
/// <param name="IsWorker">
/// The kernel's (PF_USER_WORKER), which runs no instruction of the program's: one of KVM's.
/// </param>
/// <param name="Namespaces">In the order of <see cref="Namespaces.Names"/>.</param>
/// <param name="Session">Its process's session, as the reader numbers processes.</param>
/// <param name="Children">Processes that it has started, as the reader numbers them.</param>
sealed record ThreadFacts(
    int Tid, string Name, bool IsWorker, Reading<ThreadStatus> Status, Reading<string>[] Namespaces, int Session,
    Reading<string> Children);

/// <summary>Of /proc/PID/task/TID/status: proc_pid_status(5).</summary>
/// <param name="Uids">Real, effective, saved, of the file system; as the reader's user namespace numbers them.</param>
/// <param name="Groups">Supplementary ones.</param>
/// <param name="Capabilities">Inheritable, permitted, effective, bounding, ambient.</param>
/// <param name="Filters">How many seccomp filters; null before Linux 5.9, which does not tell.</param>
/// <param name="InnerPid">Its number in the innermost PID namespace.</param>
sealed record ThreadStatus(
    uint[] Uids, uint[] Gids, int Groups, ulong[] Capabilities, bool NoNewPrivileges, int Seccomp, int? Filters,
    int InnerPid, int Depth);

/// <summary>A row of /proc/PID/limits, in its own unit; ulong.MaxValue for none.</summary>
readonly record struct ResourceLimit(ulong Soft, ulong Hard);

/// <summary>A line of /proc/PID/mountinfo.</summary>
readonly record struct MountFacts(string Root, string Place, string Options, string Kind);

/// <summary>An open descriptor.</summary>
/// <param name="Target">What the link in /proc/PID/fd says that it is.</param>
/// <param name="Flags">O_*, of fdinfo.</param>
/// <param name="Mount">The mount it was opened in, and below the inode: fdinfo's mnt_id and ino.</param>
sealed record DescriptorFacts(int Number, Reading<string> Target, int Flags, long Mount, ulong Inode)
{
    /// <summary>Of <see cref="Mount"/>: the kernel did not tell. 0 is the number of a mount of its own.</summary>
    public const long Unknown = -1;

    /// <summary>A path that is only held (O_PATH) is open for nothing.</summary>
    public bool IsWritable => (Flags & O_PATH) == 0 && (Flags & O_ACCMODE) != O_RDONLY;
}

/// <summary>A folder of a control group.</summary>
/// <param name="Processes">cgroup.procs.</param>
/// <param name="Values">The content of each expected file, in their order.</param>
sealed record GroupFacts(string Folder, Reading<string> Processes, Reading<string>[] Values);
