using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>The host's own.</summary>
sealed unsafe class HostCgroupFiles : ICgroupFiles
{
    /// <summary>mountinfo of 32,000 mounts has some 4 MiB.</summary>
    const int MaximumBytes = 8 << 20;

    const uint FolderMode = 0x1ed; // rwxr-xr-x

    public static HostCgroupFiles Instance { get; } = new();

    public string? Read(string path)
    {
        if (Open(path, O_RDONLY, out FileDescriptor? file) != 0)
            return null;
        using (file)
        {
            byte[] buffer = new byte[4096];
            int length = 0;
            while (true)
            {
                nint count = file!.Read(buffer.AsSpan(length));
                if (count == -EINTR)
                    continue;
                if (count < 0)
                    return null;
                length += (int)count;
                if (count == 0 || length == MaximumBytes)
                    return Encoding.UTF8.GetString(buffer, 0, length);
                if (length == buffer.Length)
                    Array.Resize(ref buffer, Math.Min(length * 2, MaximumBytes));
            }
        }
    }

    public int Write(string path, string text)
    {
        int error = Open(path, O_WRONLY, out FileDescriptor? file);
        if (error != 0)
            return error;
        using (file)
            return (int)Math.Min(file!.Write(Encoding.ASCII.GetBytes(text)), 0);
    }

    public int Open(string path, int flags, out FileDescriptor? file) =>
        FileDescriptor.TryOpen(path, flags, 0, out file);

    public int MakeFolder(string path)
    {
        fixed (byte* name = Bytes(path))
            return mkdirat(AT_FDCWD, name, FolderMode) == 0 ? 0 : -errno;
    }

    public int RemoveFolder(string path)
    {
        fixed (byte* name = Bytes(path))
            return unlinkat(AT_FDCWD, name, AT_REMOVEDIR) == 0 ? 0 : -errno;
    }

    public IEnumerable<string> Folders(string path)
    {
        try
        {
            return [.. Directory.EnumerateDirectories(path).Select(folder => Path.GetFileName(folder))];
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    public long FileSystem(string path)
    {
        statfs status;
        fixed (byte* name = Bytes(path))
            return statfs(name, &status) == 0 ? status.f_type : 0;
    }

    public bool IsProcess(int pid) => kill(pid, 0) == 0 || errno != ESRCH;

    public void Signal(int pid, string group, int signal)
    {
        int number = pidfd_open(pid, 0);
        if (number < 0)
            return;
        using var process = new FileDescriptor(number);
        // Asked once the process is held: its number may have become another's since it was read.
        if (Read($"/proc/{pid}/cgroup")?.Contains(group, StringComparison.Ordinal) == true)
            pidfd_send_signal(process.Value, signal);
    }

    static byte[] Bytes(string path) => Encoding.UTF8.GetBytes(path + '\0');
}
