using System.Globalization;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>A guest's group in one hierarchy: a folder, with the files of one version of control groups.</summary>
/// <param name="Parent">The folder that it is in.</param>
/// <param name="Controllers">What this hierarchy controls, of what is of use.</param>
abstract record GroupPart(ICgroupFiles Files, string Parent, string Name, Controllers Controllers)
{
    public string Folder => $"{Parent}/{Name}";

    /// <summary>What a process enters it by: see <see cref="GuestGroup"/>.</summary>
    /// <returns>0 or a negative error number.</returns>
    public abstract int OpenEntry(out FileDescriptor? entry);

    /// <summary>What the limits are in this version's files, in the order in which they are written.</summary>
    protected abstract IEnumerable<GroupValue> Values(GroupLimits limits);

    /// <summary>What a disk's rate is in this version's files.</summary>
    protected abstract IEnumerable<GroupValue> Values(DiskRate rate);

    /// <summary>What was written last, without what the kernel does not have.</summary>
    public IReadOnlyList<GroupValue> Written { get; private set; } = [];

    /// <returns>What failed; null when all limits hold.</returns>
    public (string File, int Errno)? Limit(in GroupLimits limits)
    {
        Written = [.. Written.Where(value => value.Rule == ValueRule.Disk)];
        return Set(Values(limits));
    }

    /// <inheritdoc cref="Limit(in GroupLimits)"/>
    public (string File, int Errno)? Limit(IEnumerable<DiskRate> rates)
    {
        Written = [.. Written.Where(value => value.Rule != ValueRule.Disk)];
        return Set(rates.SelectMany(Values));
    }

    (string File, int Errno)? Set(IEnumerable<GroupValue> values)
    {
        List<GroupValue> written = [.. Written];
        Written = written;
        foreach (GroupValue value in values)
            if (Set(value, written) is < 0 and int error)
                return (value.File, -error);
        return null;
    }

    int Set(GroupValue value, List<GroupValue> written)
    {
        int error = Write(value.File, value.Text);
        if (error == -ENOENT && value.Instead is GroupValue instead)
            return Set(instead, written);
        if (error == -ENOENT && value.IsOptional)
            return 0;
        if (error == 0)
            written.Add(value);
        return error;
    }

    /// <summary>Stops or continues every process in it, soon.</summary>
    /// <returns>0 or a negative error number.</returns>
    public abstract int Freeze(bool frozen);

    /// <summary>Whether every process in it has stopped.</summary>
    public abstract bool IsFrozen { get; }

    public abstract GroupUsage Usage { get; }

    /// <summary>At this moment; nothing of what this hierarchy does not control.</summary>
    public abstract GroupUse Use { get; }

    /// <summary>Kills every process in it.</summary>
    public virtual void Kill() => Signal(SIGKILL);

    /// <summary>Sends a signal to every process in it.</summary>
    public void Signal(int signal)
    {
        foreach (int pid in CgroupText.Processes(Read("cgroup.procs")))
            Files.Signal(pid, Name, signal);
    }

    /// <summary>Whether one of its processes is a thread of the kernel's, or cannot be looked at and may be one.</summary>
    public bool MayHaveKernelThread
    {
        get
        {
            string? all = Read("cgroup.procs");
            return CgroupText.HasForeign(all) || CgroupText.Processes(all).Any(
                pid => Files.Read($"/proc/{pid}/stat") is not string stat || CgroupText.IsKernelThread(stat));
        }
    }

    /// <summary>Takes a process in, with all its threads.</summary>
    /// <returns>0 or a negative error number.</returns>
    public int Add(int pid) => Write("cgroup.procs", Text((ulong)pid));

    protected string? Read(string file) => Files.Read($"{Folder}/{file}");

    protected int Write(string file, string text) => Files.Write($"{Folder}/{file}", text);

    protected static string Text(ulong number) => number.ToString(CultureInfo.InvariantCulture);
}
