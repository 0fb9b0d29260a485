using Sandbox.Supervisor.Jail.Cgroups;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>Reads a VMM's jail back from the kernel: texts that may be hostile, or change meanwhile.</summary>
static class FactReader
{
    /// <summary>
    /// Of linux/sched.h: a thread of a program that runs the kernel's code only. KVM has one for each VM.
    /// </summary>
    const uint PF_USER_WORKER = 0x4000;

    /// <summary>
    /// More threads or descriptors than this are not looked at one by one, and no VMM has them: a plan's most, twice.
    /// </summary>
    public const int Most = 16 << 10;

    /// <param name="pid">For messages.</param>
    /// <param name="isRoot">Whether the reader is root.</param>
    /// <returns>Null when the process has ended meanwhile.</returns>
    public static JailFacts? Read(
        IProcessFiles files, ICgroupFiles groups, int pid, bool isRoot, IReadOnlyList<ExpectedGroup> expected)
    {
        Reading<ProcessStat> before = files.Read("stat").As(ProcText.Stat);
        var facts = new JailFacts
        {
            Pid = pid,
            Parent = before.Is(out ProcessStat? process) ? process.Parent : 0,
            IsReadByRoot = isRoot,
            Threads = Threads(files),
            UserMap = files.Read("uid_map").As(ProcText.IdMap),
            GroupMap = files.Read("gid_map").As(ProcText.IdMap),
            FilesOwner = files.Owner("environ"),
            Limits = files.Read("limits").As(ProcText.Limits),
            OomScore = files.Read("oom_score_adj").As(static text => text.Trim()),
            Mounts = files.Read("mountinfo").As(ProcText.Mounts),
            Root = files.Link("root"),
            WorkingDirectory = files.Link("cwd"),
            Interfaces = files.Read("net/dev").As(ProcText.Interfaces),
            Descriptors = Descriptors(files),
            Environment = files.Read("environ"),
            Groups = [.. expected.Select(group => Group(groups, group))],
        };
        // What an ended process leaves is empty, not refused.
        return files.Read("stat").As(ProcText.Stat).Is(out ProcessStat? stat) && stat.StartTime != 0
            && facts.Threads.Errno is not (ENOENT or ESRCH)
            ? facts
            : null;
    }

    /// <summary>In clock ticks since the host's start; null for a process that has ended.</summary>
    public static ulong? StartTime(IProcessFiles files) =>
        files.Read("stat").As(ProcText.Stat).Is(out ProcessStat? stat) ? stat.StartTime : null;

    static Reading<ThreadFacts[]> Threads(IProcessFiles files)
    {
        Reading<string[]> names = files.Names("task");
        if (!names.Is(out string[]? threads))
            return Reading<ThreadFacts[]>.Refused(names.Errno);
        if (threads.Length > Most)
            return Reading<ThreadFacts[]>.Refused(EOVERFLOW);
        List<ThreadFacts> all = [];
        foreach (string name in threads)
            if (ProcText.Number(name) is int tid && Thread(files, tid, $"task/{name}/") is ThreadFacts thread)
                all.Add(thread);
        return Reading<ThreadFacts[]>.Of([.. all]);
    }

    /// <returns>Null for one that has ended meanwhile.</returns>
    static ThreadFacts? Thread(IProcessFiles files, int tid, string folder)
    {
        Reading<ThreadStatus> status = files.Read(folder + "status").As(ProcText.Status);
        Reading<ProcessStat> stat = files.Read(folder + "stat").As(ProcText.Stat);
        Reading<string>[] namespaces = Namespaces.Of(files, folder);
        if (status.Errno is ENOENT or ESRCH || stat.Errno is ENOENT or ESRCH)
            return null;
        bool isKnown = stat.Is(out ProcessStat? known);
        return new ThreadFacts(tid, isKnown ? known!.Name : "", isKnown && (known!.Flags & PF_USER_WORKER) != 0, status,
            namespaces, isKnown ? known!.Session : 0, files.Read(folder + "children").As(static text => text.Trim()));
    }

    static Reading<DescriptorFacts[]> Descriptors(IProcessFiles files)
    {
        // Ordinary users may not list "fd" of a process that cannot be dumped, and may list "fdinfo".
        Reading<string[]> names = files.Names("fd");
        if (!names.Is(out _))
            names = files.Names("fdinfo");
        if (!names.Is(out string[]? numbers))
            return Reading<DescriptorFacts[]>.Refused(names.Errno);
        if (numbers.Length > Most)
            return Reading<DescriptorFacts[]>.Refused(EOVERFLOW);
        List<DescriptorFacts> all = [];
        foreach (string name in numbers)
            if (ProcText.Number(name) is int number && Descriptor(files, number) is DescriptorFacts descriptor)
                all.Add(descriptor);
        return Reading<DescriptorFacts[]>.Of([.. all]);
    }

    /// <returns>Null for one that was closed meanwhile.</returns>
    public static DescriptorFacts? Descriptor(IProcessFiles files, int number)
    {
        Reading<string> target = files.Link($"fd/{number}");
        if (target.Errno == ENOENT)
            return null;
        Reading<string> info = files.Read($"fdinfo/{number}");
        if (info.Errno == ENOENT)
            return null;
        (int Flags, long Mount, ulong Inode) told =
            (info.Is(out string? text) ? ProcText.DescriptorInfo(text) : null) ?? (0, DescriptorFacts.Unknown, 0);
        return new DescriptorFacts(number, target, told.Flags, told.Mount, told.Inode);
    }

    static GroupFacts Group(ICgroupFiles files, ExpectedGroup group)
    {
        Reading<string> Read(string file) => files.Read($"{group.Folder}/{file}") is string text
            ? Reading<string>.Of(text.Trim())
            : Reading<string>.Refused(ENOENT);
        return new GroupFacts(
            group.Folder, Read("cgroup.procs").As(text => Made(files, text)),
            [.. group.Values.Select(value => Read(value.File))]);
    }

    /// <summary>
    /// The processes that somebody made. Before Linux 6.14 a virtual machine brings a thread of the kernel into its
    /// VMM's group, which recovers large pages.
    /// </summary>
    static string Made(ICgroupFiles files, string processes) => string.Join('\n', CgroupText.Processes(processes)
        .Where(pid => !CgroupText.IsKernelThread(files.Read($"/proc/{pid}/stat"))));
}
