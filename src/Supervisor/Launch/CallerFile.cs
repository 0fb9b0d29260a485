using System.Globalization;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// Files that the caller names: by a path, or as one of the descriptors that he gave this process, which shells write
/// as <c>/dev/stdin</c> or, for <c>&lt;(command)</c>, <c>/dev/fd/63</c>.
/// </summary>
static class CallerFile
{
    static readonly (string Path, int Number)[] s_streams =
        [("/dev/stdin", STDIN_FILENO), ("/dev/stdout", STDOUT_FILENO), ("/dev/stderr", STDERR_FILENO)];

    static readonly string[] s_folders = ["/dev/fd/", "/proc/self/fd/"];

    /// <summary>
    /// Opens a path. A descriptor is copied: the file stays open as the caller opened it, whatever its flags.
    /// </summary>
    /// <returns>
    /// 0 or a negative error number; -EBADF for a descriptor that is not the caller's, or open the other way.
    /// </returns>
    public static int TryOpen(string path, int flags, uint mode, out FileDescriptor? file)
    {
        if (Descriptor(path) is not int number)
            return FileDescriptor.TryOpen(path, flags, mode, out file);
        file = null;
        // Those that this process opens itself are closed on exec; the caller's came through one.
        if (fcntl(number, F_GETFD, 0) != 0)
            return -EBADF;
        int access = fcntl(number, F_GETFL, 0) & O_ACCMODE;
        if (access != O_RDWR && access != (flags & O_ACCMODE))
            return -EBADF;
        file = Copy(number);
        return 0;
    }

    /// <summary>Another descriptor of one of the caller's open files, beyond the standard streams' numbers.</summary>
    /// <exception cref="HostException">It is not open, or there are too many.</exception>
    public static FileDescriptor Copy(int number)
    {
        int copy = fcntl(number, F_DUPFD_CLOEXEC, 3);
        return copy >= 0 ? new FileDescriptor(copy) : throw HostException.Last("fcntl", $"descriptor {number}");
    }

    /// <summary>Why a path that the caller named could not be opened.</summary>
    /// <param name="error">A negative error number.</param>
    public static string Why(int error) => error == -ELOOP
        ? $"{Errno.Describe(ELOOP)}, or a link of /proc to what a process has open, which is not followed: name that "
            + "by its own path"
        : Errno.Describe(-error);

    static int? Descriptor(string path)
    {
        foreach ((string stream, int number) in s_streams)
            if (path == stream)
                return number;
        foreach (string folder in s_folders)
            if (path.StartsWith(folder, StringComparison.Ordinal)
                && int.TryParse(
                    path.AsSpan(folder.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
                return number;
        return null;
    }
}
