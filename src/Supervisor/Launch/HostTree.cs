using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>The real host's files, as planning looks at them. What cannot be read counts as missing.</summary>
sealed unsafe class HostTree : IHostTree
{
    public HostEntry Look(string path)
    {
        stat status;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            if (fstatat(AT_FDCWD, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
                return default;
            if (!S_ISLNK(status.st_mode))
                return new HostEntry(KindOf(status.st_mode));
            return ReadLink(name) is string target ? new HostEntry(HostEntryKind.Symlink, target) : default;
        }
    }

    public HostEntry Follow(string path)
    {
        stat status;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            return fstatat(AT_FDCWD, name, &status, 0) == 0 && faccessat(AT_FDCWD, name, R_OK, AT_EACCESS) == 0
                ? new HostEntry(KindOf(status.st_mode))
                : default;
    }

    /// <summary>The path by which the kernel knows an open file: absolute and without symlinks.</summary>
    public static string? PathOf(FileDescriptor file)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes($"/proc/self/fd/{file.Value}\0"))
            return ReadLink(name);
    }

    static string? ReadLink(byte* path)
    {
        const int room = 4096;
        byte* target = stackalloc byte[room];
        nint length = readlink(path, target, room);
        return length is > 0 and < room ? Encoding.UTF8.GetString(target, (int)length) : null;
    }

    public static HostEntryKind KindOf(uint mode)
    {
        if (S_ISDIR(mode))
            return HostEntryKind.Directory;
        return S_ISREG(mode) ? HostEntryKind.File : HostEntryKind.Special;
    }
}
