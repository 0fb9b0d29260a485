using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Trust;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// The folder in which this user's sandboxes have theirs. As a rule it is gone after a restart of the host, as the
/// sandboxes are, so nothing in it is ever flushed to a disk.
/// </summary>
static unsafe class StatePlace
{
    /// <summary>rwx------.</summary>
    public const uint FolderMode = 0x1c0;

    /// <summary>
    /// /run/sandbox for root, $XDG_RUNTIME_DIR/sandbox for others; where the folder above is not there, or not the
    /// user's own, <see cref="InHome"/> of $HOME, and at last /tmp/sandbox-UID, which anybody can take from him.
    /// </summary>
    public static string Path { get; } = Choose(
        geteuid(), Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR"), Environment.GetEnvironmentVariable("HOME"));

    /// <summary>Whether it is one that stands in for a folder that the host does not have.</summary>
    public static bool IsSubstitute => Path.EndsWith(InHome, StringComparison.Ordinal) || Path == InTmp(geteuid());

    internal static string Choose(uint user, string? runtimeFolder, string? home)
    {
        string? above = user == 0 ? "/run" : runtimeFolder;
        if (IsFolderOf(user, above))
            return $"{above!.TrimEnd('/')}/sandbox";
        return IsFolderOf(user, home) ? home!.TrimEnd('/') + InHome : InTmp(user);
    }

    /// <summary>
    /// Where another user's may be, as most hosts have it: $XDG_RUNTIME_DIR is in his environment, which nobody else
    /// knows.
    /// </summary>
    public static string[] Of(uint user)
    {
        passwd* entry = getpwuid(user);
        string? home = entry is null ? null : Marshal.PtrToStringUTF8((nint)entry->pw_dir);
        string[] inHome = home is ['/', ..] ? [home.TrimEnd('/') + InHome] : [];
        return [$"/run/user/{user}/sandbox", .. inHome, InTmp(user)];
    }

    const string InHome = "/.local/state/sandbox/run";

    static string InTmp(uint user) => $"/tmp/sandbox-{user}";

    /// <summary>What is wrong with a place that is not this user's alone, and what to do.</summary>
    /// <param name="error">Of <see cref="TryMake"/> or <see cref="TryOpen(string, out FileDescriptor?)"/>.</param>
    /// <returns>Null for another error, and for none.</returns>
    public static string? Problem(string path, int error) => error is -EPERM or -EACCES or -ELOOP or -ENOTDIR
        ? $"{Quote.Value(path)} is not this user's alone, somebody else has this name or can write there; "
            + (geteuid() == 0 ? "remove it" : "set XDG_RUNTIME_DIR to a folder of your own")
        : null;

    static bool IsFolderOf(uint user, string? path)
    {
        if (path is not ['/', ..])
            return false;
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
        try
        {
            PrivateFile.MakeFolderOf(path);
        }
        catch (HostException refused)
        {
            return -refused.Errno;
        }

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
        if (error == 0 && status.st_uid == owner && (status.st_mode & TrustedPath.WritableByOthers) == 0)
            return 0;
        place.Dispose();
        place = null;
        return error != 0 ? error : -EPERM;
    }
}
