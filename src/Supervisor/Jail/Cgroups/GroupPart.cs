using Sandbox.Host;

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

    /// <returns>What failed; null when all limits hold.</returns>
    public abstract (string File, int Errno)? Limit(in GroupLimits limits);

    /// <summary>Stops or continues every process in it, soon.</summary>
    /// <returns>0 or a negative error number.</returns>
    public abstract int Freeze(bool frozen);

    /// <summary>Whether every process in it has stopped.</summary>
    public abstract bool IsFrozen { get; }

    public abstract GroupUsage Usage { get; }

    /// <summary>At this moment; nothing of what this hierarchy does not control.</summary>
    public abstract GroupUse Use { get; }

    /// <summary>Kills every process in it.</summary>
    public virtual void Kill()
    {
        foreach (int pid in CgroupText.Processes(Read("cgroup.procs")))
            Files.Kill(pid, Name);
    }

    protected string? Read(string file) => Files.Read($"{Folder}/{file}");

    protected int Write(string file, string text) => Files.Write($"{Folder}/{file}", text);

    /// <summary>Writes files until one fails.</summary>
    protected (string, int)? WriteAll(params ReadOnlySpan<(string File, string Text)> values)
    {
        foreach ((string file, string text) in values)
            if (Write(file, text) is < 0 and int error)
                return (file, -error);
        return null;
    }
}
