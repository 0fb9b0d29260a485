using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// File systems in which a name is found whatever case its letters are written in, as far as that is certain: others may
/// do so by an option, on a server, or in folders further down.
/// </summary>
static unsafe class FoldingFileSystems
{
    static readonly HashSet<string> s_types = ["cifs", "exfat", "hfs", "hfsplus", "msdos", "smb3", "vfat"];

    /// <summary>Windows' disks in WSL.</summary>
    const string DriveOption = "aname=drvfs";

    public static bool IsOne(in HostMount mount) => s_types.Contains(mount.Type)
        || (mount.Type == "9p" && mount.Options.Contains(DriveOption, StringComparison.Ordinal));

    /// <summary>Whether names in a folder are looked up so, as ext4 and f2fs have it folder by folder.</summary>
    /// <param name="folder">Opened with O_PATH.</param>
    public static bool Folds(FileDescriptor folder)
    {
        if (folder.TryReopen(O_RDONLY | O_DIRECTORY, out FileDescriptor? opened) != 0)
            return false;
        int flags = 0;
        using (opened)
            return ioctl(opened!.Value, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_CASEFOLD_FL) != 0;
    }
}
