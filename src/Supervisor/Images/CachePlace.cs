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

    /// <summary>
    /// Waits until nobody else changes what is kept there, and says so; nobody else does until it is closed.
    /// </summary>
    /// <exception cref="UsageException">Somebody is at it for minutes.</exception>
    public static void Lock(FileDescriptor place)
    {
        if (TryLock(place))
            return;
        StandardStreams.WriteError("waiting for another command, which packs an image or keeps a kernel");
        for (int waited = 0; !TryLock(place); waited += LockStep)
        {
            if (waited >= LockMilliseconds)
                throw new UsageException(
                    $"another command packs an image or keeps a kernel for {LockMilliseconds / 60_000} minutes; "
                        + "is it stopped?");
            Thread.Sleep(LockStep);
        }
    }

    /// <summary>As <see cref="Lock"/>, without waiting; false when somebody changes something.</summary>
    public static bool TryLock(FileDescriptor place) => flock(place.Value, LOCK_EX | LOCK_NB) == 0;
}
