using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>/proc/PID and /proc/PID/task/TID.</summary>
/// <param name="thread">The thread it is about; null for the process as a whole.</param>
/// <param name="asProcess">/proc/TID: a thread's directory with everything a process's has.</param>
sealed class ProcTask(ProcFileSystem fileSystem, Process process, GuestThread? thread, bool asProcess = false)
    : ProcDirectory(fileSystem, ProcFileSystem.Number(thread?.Tid ?? process.Pid, thread is null ? 0 : 1), 0x16d, process)
{
    private readonly record struct Entry(
        string Name, uint Type, uint Permissions, Func<ProcTask, ulong, Inode> Create, bool ProcessOnly = false);

    private static readonly Entry[] Entries =
    [
        Text("stat", 0x124, static (t, _) => ProcStatus.Stat(t.Target)),
        Text("status", 0x124, static (t, _) => ProcStatus.Status(t.Target)),
        Text("statm", 0x124, static (t, _) => ProcStatus.Statm(t.Target)),
        Text("comm", 0x1a4, static (t, _) => ProcStatus.Comm(t.Target), static (t, c, text) => ProcStatus.SetComm(t.Target, c, text)),
        Text("cmdline", 0x124, static (t, _) => ProcMemory.ReadArea(t.Target.Process, t.Target.Process.ArgumentArea)),
        Text("environ", 0x100, static (t, _) => ProcMemory.ReadArea(t.Target.Process, t.Target.Process.EnvironmentArea), isPrivate: true),
        Text("auxv", 0x100, static (t, _) => t.Target.Process.AuxiliaryVector, isPrivate: true),
        Text("maps", 0x124, static (t, _) => ProcMemory.Maps(t.Target.Process), isPrivate: true),
        Text("limits", 0x124, static (t, _) => ProcStatus.Limits(t.Target)),
        Text("mountinfo", 0x124, static (t, c) => ProcMounts.MountInfo(c)),
        Text("mounts", 0x124, static (t, c) => ProcMounts.Mounts(c)),
        Text("cgroup", 0x124, static (_, _) => "0::/\n"u8.ToArray()),
        Text("oom_score", 0x124, static (_, _) => "0\n"u8.ToArray()),
        Text("oom_score_adj", 0x1a4, static (t, _) => ProcStatus.OomAdjustment(t.Target), static (t, c, text) => ProcStatus.SetOomAdjustment(t.Target, c, text)),
        Text("wchan", 0x124, static (_, _) => "0"u8.ToArray()),
        Text("personality", 0x100, static (t, _) => ProcStatus.Personality(t.Target), isPrivate: true),
        Text("loginuid", 0x124, static (_, _) => "4294967295"u8.ToArray()),
        Text("sessionid", 0x124, static (_, _) => "4294967295"u8.ToArray()),
        Text("uid_map", 0x124, static (_, _) => IdentityMap),
        Text("gid_map", 0x124, static (_, _) => IdentityMap),
        Text("setgroups", 0x124, static (_, _) => "allow\n"u8.ToArray()),
        new("exe", S_IFLNK, 0x1ff, static (t, number) => new ProcMagicLink(
            t.Proc, number, 0x1ff, t.Target.Process, static p =>
                p.ExecutableFile is { } file && file.TryAcquire() ? (file, null) : (null, null))),
        new("cwd", S_IFLNK, 0x1ff, static (t, number) => new ProcMagicLink(
            t.Proc, number, 0x1ff, t.Target.Process, static p => (null, p.IsDead ? null : p.FileSystem.WorkingDirectory))),
        new("root", S_IFLNK, 0x1ff, static (t, number) => new ProcMagicLink(
            t.Proc, number, 0x1ff, t.Target.Process, static p => (null, p.IsDead ? null : p.FileSystem.Root))),
        new("fd", S_IFDIR, 0x140, static (t, number) => new ProcDescriptors(t.Proc, number, t.Target.Process, t.Id, information: false)),
        new("fdinfo", S_IFDIR, 0x140, static (t, number) => new ProcDescriptors(t.Proc, number, t.Target.Process, t.Id, information: true)),
        new("task", S_IFDIR, 0x16d, static (t, number) => new ProcThreads(t.Proc, number, t.Target.Process), ProcessOnly: true),
    ];

    private static byte[] IdentityMap => "         0          0 4294967295\n"u8.ToArray();

    internal ProcTarget Target => new(Process!, thread);

    /// <summary>The process whose /proc/PID this is; null in a thread's directory.</summary>
    internal Process? Whole => thread is null ? Process : null;

    internal int Id => thread?.Tid ?? Process!.Pid;

    private static Entry Text(
        string name, uint permissions, Func<ProcTask, Caller, byte[]> generate,
        Func<ProcTask, Caller, byte[], long>? write = null, bool isPrivate = false) =>
        new(name, S_IFREG, permissions, (task, number) => new ProcText(
            task.Proc, number, permissions, task.Target.Process, caller => generate(task, caller),
            write is null ? null : (caller, text) => write(task, caller, text), isPrivate));

    protected override Inode? Find(ReadOnlySpan<byte> name, in Caller caller)
    {
        // The process may have gone since the directory was opened.
        if (Proc.Personality.FindProcess(Process!.Pid) != Process)
            return null;
        for (int i = 0; i < Entries.Length; i++)
        {
            if (System.Text.Ascii.Equals(name, Entries[i].Name))
                return IsHere(Entries[i]) ? Entries[i].Create(this, ProcFileSystem.Number(Id, i + 2)) : null;
        }
        return null;
    }

    protected override void List(ListedDirectoryFile.Listing entries)
    {
        for (int i = 0; i < Entries.Length; i++)
        {
            if (IsHere(Entries[i]))
                entries.Add(
                    System.Text.Encoding.ASCII.GetBytes(Entries[i].Name), ProcFileSystem.Number(Id, i + 2), Entries[i].Type);
        }
    }

    private bool IsHere(in Entry entry) => !entry.ProcessOnly || thread is null || asProcess;
}

/// <summary>What a file of /proc is about: a process, or one thread of it.</summary>
readonly record struct ProcTarget(Process Process, GuestThread? Thread)
{
    /// <summary>Whose registers, masks and name are shown.</summary>
    public GuestThread Shown => Thread ?? Process.Leader;
}

/// <summary>/proc/PID/task.</summary>
sealed class ProcThreads(ProcFileSystem fileSystem, ulong number, Process process)
    : ProcDirectory(fileSystem, number, 0x16d, process)
{
    protected override Inode? Find(ReadOnlySpan<byte> name, in Caller caller) =>
        ProcNames.TryParseNumber(name, out int tid) && Proc.Personality.FindThread(tid) is { } thread
            && thread.Process == Process
            ? new ProcTask(Proc, thread.Process, thread)
            : null;

    protected override void List(ListedDirectoryFile.Listing entries)
    {
        foreach (GuestThread thread in Proc.Personality.ListThreads(Process!))
            entries.Add(ProcNames.Number(thread.Tid), ProcFileSystem.Number(thread.Tid, 1), S_IFDIR);
    }
}

/// <summary>/proc/PID/fd and /proc/PID/fdinfo.</summary>
sealed class ProcDescriptors(ProcFileSystem fileSystem, ulong number, Process process, int id, bool information)
    : ProcDirectory(fileSystem, number, 0x140, process)
{
    /// <summary>As Linux shows it: git(1) takes a link of size 0 for empty.</summary>
    private const long LinkSize = 64;

    /// <summary>Numbers of the links come after those of a task's other entries.</summary>
    private ulong NumberOf(int descriptor) =>
        (1UL << 60) | (information ? 1UL << 59 : 0) | ((ulong)(uint)id << 24) | (uint)descriptor;

    public override long CheckAccess(Dentry self, Credentials credentials, int mask)
    {
        // A process can always look into its own table, whatever it has set its ids to.
        return GuestThread.Current?.Process == Process ? 0 : base.CheckAccess(self, credentials, mask);
    }

    protected override Inode? Find(ReadOnlySpan<byte> name, in Caller caller)
    {
        if (!ProcNames.TryParseNumber(name, out int descriptor) || Process!.IsDead)
            return null;
        OpenFile? file = Process.Descriptors.Acquire(descriptor);
        if (file is null)
            return null;
        uint permissions = 0x40u | (file.CanRead ? 0x100u : 0) | (file.CanWrite ? 0x80u : 0);
        file.Release();
        return information
            ? new ProcText(Proc, NumberOf(descriptor), 0x124, Process, _ => Describe(Process, descriptor), isPrivate: true)
            : new ProcMagicLink(
                Proc, NumberOf(descriptor), permissions, Process,
                p => (p.IsDead ? null : p.Descriptors.Acquire(descriptor), null), LinkSize);
    }

    protected override void List(ListedDirectoryFile.Listing entries)
    {
        if (Process!.IsDead)
            return;
        DescriptorTable table = Process.Descriptors;
        uint type = information ? S_IFREG : (uint)S_IFLNK;
        int descriptor = table.NextOpen(0);
        while (descriptor >= 0 && entries.Add(ProcNames.Number(descriptor), NumberOf(descriptor), type))
            descriptor = table.NextOpen(descriptor + 1);
    }

    private static byte[] Describe(Process process, int descriptor)
    {
        OpenFile? file = process.IsDead ? null : process.Descriptors.Acquire(descriptor);
        if (file is null)
            return [];
        TextBuilder text = new();
        bool closeOnExec = (process.Descriptors.GetFlags(descriptor) & FD_CLOEXEC) > 0;
        text.Add("pos:\t").Add(Math.Max(file.Seek(0, SEEK_CUR), 0))
            .Add("\nflags:\t0").AddOctal((uint)(file.StatusFlags | (closeOnExec ? O_CLOEXEC : 0)));
        if (file is InodeFile inodeFile)
            text.Add("\nmnt_id:\t").Add(inodeFile.Dentry.Mount.Id).Add("\nino:\t").Add(inodeFile.Inode.Number);
        file.Release();
        return text.Add('\n').ToArray();
    }
}
