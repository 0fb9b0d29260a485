using Sandbox.Host;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>
/// The files through which the kernel shows control groups: /proc/self/cgroup, mountinfo and the trees. What a host
/// refuses is answered as a negative error number, not thrown.
/// </summary>
interface ICgroupFiles
{
    /// <summary>A file's text, cut off at a bound that no honest one reaches; null when it cannot be read.</summary>
    string? Read(string path);

    /// <returns>0 or a negative error number.</returns>
    int Write(string path, string text);

    /// <returns>0 or a negative error number.</returns>
    int Open(string path, int flags, out FileDescriptor? file);

    /// <returns>0 or a negative error number.</returns>
    int MakeFolder(string path);

    /// <returns>0 or a negative error number.</returns>
    int RemoveFolder(string path);

    /// <summary>Names of the folders in a folder; none when it cannot be read.</summary>
    IEnumerable<string> Folders(string path);

    /// <summary>f_type of statfs(2); 0 when there is nothing.</summary>
    long FileSystem(string path);

    /// <summary>Whether a process of this number exists, seen or hidden.</summary>
    bool IsProcess(int pid);

    /// <summary>Sends a process a signal, unless it is no longer in a group of this name.</summary>
    void Signal(int pid, string group, int signal);
}
