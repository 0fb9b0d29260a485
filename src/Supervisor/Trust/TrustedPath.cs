using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Trust;

/// <summary>
/// Whether a path leads where it led before: nobody but root and its owner may change a name on the way. In a folder
/// with the sticky bit (/tmp) others may add names, and not take away or rename those of others.
/// </summary>
static unsafe class TrustedPath
{
    /// <summary>S_IWGRP and S_IWOTH.</summary>
    public const uint WritableByOthers = 0x12;

    /// <summary>As many as the kernel follows: path_resolution(7).</summary>
    const int MaximumLinks = 40;

    const int MaximumTarget = 4096;

    /// <param name="folder">An absolute path.</param>
    /// <param name="owner">Who may, beside root.</param>
    /// <returns>The first folder on the way, it included, that others may change; null for none.</returns>
    /// <exception cref="HostException">A part of the path cannot be examined.</exception>
    public static string? FirstChangeable(string folder, uint owner)
    {
        Stack<string> rest = new();
        Push(rest, folder);
        string at = "/";
        int links = 0;
        while (!MayChange(at, owner))
        {
            if (!rest.TryPop(out string? name))
                return null;
            if (name == "..")
            {
                at = Path.GetDirectoryName(at) ?? "/";
                continue;
            }

            string next = Path.Combine(at, name);
            if (Target(next) is not string target)
            {
                at = next;
                continue;
            }

            if (++links > MaximumLinks)
                throw new HostException(ELOOP, "readlink", folder);
            if (target.StartsWith('/'))
                at = "/";
            Push(rest, target);
        }

        return at;
    }

    static void Push(Stack<string> rest, string path)
    {
        foreach (string name in path.Split('/').Reverse())
            if (name is not ("" or "."))
                rest.Push(name);
    }

    static bool MayChange(string folder, uint owner)
    {
        stat status;
        fixed (byte* name = Encoding.UTF8.GetBytes(folder + '\0'))
            if (fstatat(AT_FDCWD, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
                throw HostException.Last("stat", folder);
        return (status.st_uid != 0 && status.st_uid != owner)
            || ((status.st_mode & WritableByOthers) != 0 && (status.st_mode & S_ISVTX) == 0);
    }

    /// <summary>Of a symbolic link; null for what is none.</summary>
    static string? Target(string path)
    {
        byte* target = stackalloc byte[MaximumTarget];
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            nint length = readlink(name, target, MaximumTarget);
            if (length < 0 && errno != EINVAL)
                throw HostException.Last("readlink", path);
            return length < 0 ? null : Encoding.UTF8.GetString(target, (int)length);
        }
    }
}
