using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Images;

/// <summary>Where what can be made again is kept between runs: a folder that only this user may write to.</summary>
static class CachePlace
{
    /// <summary>No name of an image or a kernel.</summary>
    const string LockName = ".lock";

    const uint LockMode = 0x180; // rw-------
    const int LockMilliseconds = 10 * 60_000, LockStep = 50;

    /// <exception cref="UsageException">There is no such place.</exception>
    public static string Of(string name) => Find(name)
        ?? throw new UsageException($"there is no place for {name} that are kept; set HOME or XDG_CACHE_HOME");

    /// <summary>
    /// /var/lib/sandbox/NAME for root; for others $XDG_CACHE_HOME/sandbox/NAME, or ~/.cache/sandbox/NAME. Null where
    /// there is no such place.
    /// </summary>
    public static string? Find(string name) => Find(
        name, geteuid(), Environment.GetEnvironmentVariable("XDG_CACHE_HOME"),
        Environment.GetEnvironmentVariable("HOME"));

    internal static string? Find(string name, uint user, string? cache, string? home) => (user, cache, home) switch
    {
        (0, _, _) => $"/var/lib/sandbox/{name}",
        (_, ['/', ..], _) => $"{cache}/sandbox/{name}",
        (_, _, ['/', ..]) => $"{home}/.cache/sandbox/{name}",
        _ => null,
    };

    /// <summary>Opens the folder, and makes it if it is not there.</summary>
    /// <exception cref="UsageException">It is not this user's own.</exception>
    /// <exception cref="HostException">It cannot be made.</exception>
    public static FileDescriptor Make(string folder)
    {
        PrivateFile.MakeFolderOf(folder);
        int error = StatePlace.TryMake(folder, out FileDescriptor? place);
        return error switch
        {
            0 => place!,
            -EPERM => throw new UsageException(
                $"{Quote.Value(folder)} belongs to another user, or others can write to it (chmod go-w)"),
            _ => throw new HostException(-error, "open", folder),
        };
    }

    /// <summary>Waits until nobody else changes what is kept there, and says so.</summary>
    /// <param name="place">The opened folder.</param>
    /// <param name="folder">What it is called.</param>
    /// <returns>Nobody else does until it is disposed of.</returns>
    /// <exception cref="UsageException">Somebody is at it for minutes.</exception>
    /// <exception cref="HostException">The file system has no locks, or is read-only.</exception>
    public static FileDescriptor Lock(FileDescriptor place, string folder)
    {
        if (TryLock(place, folder) is FileDescriptor free)
            return free;
        StandardStreams.WriteError("waiting for another command, which packs an image or keeps a kernel");
        for (int waited = 0; waited < LockMilliseconds; waited += LockStep)
        {
            Thread.Sleep(LockStep);
            if (TryLock(place, folder) is FileDescriptor held)
                return held;
        }

        throw new UsageException(
            $"another command packs an image or keeps a kernel for {LockMilliseconds / 60_000} minutes; is it stopped?");
    }

    /// <summary>As <see cref="Lock"/>, without waiting; null when somebody changes something.</summary>
    public static FileDescriptor? TryLock(FileDescriptor place, string folder)
    {
        // A file: NFS keeps locks of folders on each host for itself, and anybody who may look into a folder can lock it.
        int error = FileDescriptor.TryOpenAt(
            place, LockName, O_RDWR | O_CREAT | O_NOFOLLOW, LockMode, out FileDescriptor? file);
        if (error != 0)
            throw new HostException(-error, "open", Path.Combine(folder, LockName));
        while (flock(file!.Value, LOCK_EX | LOCK_NB) != 0)
        {
            error = errno;
            if (error == EINTR)
                continue;
            file.Dispose();
            return error == EWOULDBLOCK ? null : throw new HostException(error, "flock", Path.Combine(folder, LockName));
        }

        return file;
    }
}
