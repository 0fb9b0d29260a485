using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>
/// A Landlock ruleset: what a thread that is restricted by it may still do, of the things that it handles. See
/// landlock(7).
/// </summary>
public sealed unsafe class LandlockRuleset : IDisposable
{
    private readonly ulong _files;

    private LandlockRuleset(FileDescriptor descriptor, ulong files)
    {
        Descriptor = descriptor;
        _files = files;
    }

    /// <summary>Of the host's Landlock; 0 without.</summary>
    public static int HostVersion { get; } =
        Math.Max(landlock_create_ruleset(null, 0, LANDLOCK_CREATE_RULESET_VERSION), 0);

    /// <summary>
    /// False where LANDLOCK_SCOPE_SIGNAL also stops signals between threads of one process that were restricted one by
    /// one: erratum 2 of landlock(7), in kernels before 6.15 and 6.12.23.
    /// </summary>
    public static bool ThreadsMaySignalEachOther { get; } =
        (Math.Max(landlock_create_ruleset(null, 0, LANDLOCK_CREATE_RULESET_ERRATA), 0) & 1 << 1) != 0;

    /// <summary>What the host's Landlock is too old to stop, for people; all of it where there is none.</summary>
    public static IEnumerable<string> Lacking
    {
        get
        {
            (bool Has, string What)[] parts =
            [
                (HostVersion >= 3, "Landlock's hold on truncation, from 6.2 on"),
                (HostVersion >= 4, "Landlock's hold on TCP, from 6.7 on"),
                (HostVersion >= 5, "Landlock's hold on ioctls of devices, from 6.10 on"),
                (HostVersion >= 6, "Landlock's hold on abstract sockets, from 6.12 on"),
                (ThreadsMaySignalEachOther, "Landlock's hold on signals, from 6.15 or 6.12.23 on"),
            ];
            return parts.Where(part => !part.Has).Select(part => part.What);
        }
    }

    public FileDescriptor Descriptor { get; }

    /// <summary>Handles what is named here as far as the host knows of it, and allows nothing of it yet.</summary>
    /// <param name="files">LANDLOCK_ACCESS_FS_*.</param>
    /// <param name="network">LANDLOCK_ACCESS_NET_*.</param>
    /// <param name="scopes">LANDLOCK_SCOPE_*.</param>
    /// <exception cref="HostException">The host has no Landlock.</exception>
    public static LandlockRuleset Create(ulong files, ulong network = 0, ulong scopes = 0)
    {
        ulong known = HostVersion switch
        {
            1 => LANDLOCK_ACCESS_FS_REFER - 1,
            2 => LANDLOCK_ACCESS_FS_TRUNCATE - 1,
            3 or 4 => LANDLOCK_ACCESS_FS_IOCTL_DEV - 1,
            _ => ulong.MaxValue,
        };
        ulong* attributes = stackalloc ulong[3] { files & known, network, scopes };
        nuint size = HostVersion switch { < 4 => sizeof(ulong), < 6 => 2 * sizeof(ulong), _ => 3 * sizeof(ulong) };
        int descriptor = landlock_create_ruleset(attributes, size, 0);
        return descriptor >= 0
            ? new LandlockRuleset(new FileDescriptor(descriptor), files & known)
            : throw HostException.Last("landlock_create_ruleset");
    }

    /// <summary>Allows these accesses to a file, or to a folder and all beneath it.</summary>
    /// <exception cref="HostException">Not a file or folder.</exception>
    public void Allow(FileDescriptor place, ulong files)
    {
        // Of files the kernel takes only what files have.
        const ulong ofFiles = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE
            | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV;
        int error = place.GetStatus(out stat status);
        if (error != 0)
            throw new HostException(-error, "fstat", "a place to allow");
        ulong sensible = S_ISDIR(status.st_mode) ? files : files & ofFiles;
        var rule = new landlock_path_beneath_attr { allowed_access = sensible & _files, parent_fd = place.Value };
        // No access at all is no rule.
        if (rule.allowed_access != 0
            && landlock_add_rule(Descriptor.Value, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
            throw HostException.Last("landlock_add_rule");
    }

    public void Dispose() => Descriptor.Dispose();
}
