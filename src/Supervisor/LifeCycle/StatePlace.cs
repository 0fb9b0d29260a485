using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// The folder in which this user's sandboxes have theirs. It is gone after a restart of the host, as the sandboxes are,
/// so nothing in it is ever flushed to a disk.
/// </summary>
static unsafe class StatePlace
{
    /// <summary>rwx------.</summary>
    public const uint FolderMode = 0x1c0;

    const uint OthersWrite = 0x12;

    /// <summary>
    /// /run/sandbox for root, $XDG_RUNTIME_DIR/sandbox for others; /tmp/sandbox-UID where the folder above is not
    /// there, or not the user's own.
    /// </summary>
    public static string Path { get; } = Choose(geteuid(), Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR"));

    /// <summary>Whether it is the one that stands in for a folder that the host does not have.</summary>
    public static bool IsSubstitute => Path == Substitute(geteuid());

    internal static string Choose(uint user, string? runtimeFolder)
    {
        string? above = user == 0 ? "/run" : runtimeFolder;
        return above is ['/', ..] && IsFolderOf(user, above) ? $"{above.TrimEnd('/')}/sandbox" : Substitute(user);
    }

    /// <summary>
    /// Where another user's may be, as most hosts have it: $XDG_RUNTIME_DIR is in his environment, which nobody else
    /// knows.
    /// </summary>
    public static string[] Of(uint user) => [$"/run/user/{user}/sandbox", Substitute(user)];

    static string Substitute(uint user) => $"/tmp/sandbox-{user}";

    static bool IsFolderOf(uint user, string path)
    {
        stat status;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            return fstatat(AT_FDCWD, name, &status, 0) == 0 && S_ISDIR(status.st_mode) && status.st_uid == user;
    }

    /// <summary>
    /// Whether no sandbox has a folder in it, or it is not there, as far as one call can tell. A folder's links are its
    /// name, its own "." and the ".." of each folder in it; file systems that do not count those say 1.
    /// </summary>
    public static bool LooksEmpty(string path)
    {
        stat status;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            return fstatat(AT_FDCWD, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_nlink == 2 : errno == ENOENT;
    }

    /// <summary>Opens the folder, and makes it if it is not there.</summary>
    /// <returns>0 or a negative error number; -EPERM when somebody else can write to it.</returns>
    public static int TryMake(string path, out FileDescriptor? place)
    {
        int error = TryOpen(path, out place);
        if (error != -ENOENT)
            return error;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            if (mkdirat(AT_FDCWD, name, FolderMode) != 0 && errno != EEXIST)
                return -errno;
        return TryOpen(path, out place);
    }

    /// <returns>0 or a negative error number; -EPERM when somebody else can write to it.</returns>
    public static int TryOpen(string path, out FileDescriptor? place) => TryOpen(path, geteuid(), out place);

    /// <param name="owner">Whose it has to be.</param>
    /// <inheritdoc cref="TryOpen(string, out FileDescriptor?)"/>
    public static int TryOpen(string path, uint owner, out FileDescriptor? place)
    {
        int error = FileDescriptor.TryOpen(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, out place);
        if (error != 0)
            return error;
        error = place!.GetStatus(out stat status);
        if (error == 0 && status.st_uid == owner && (status.st_mode & OthersWrite) == 0)
            return 0;
        place.Dispose();
        place = null;
        return error != 0 ? error : -EPERM;
    }
}
