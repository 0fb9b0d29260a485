using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Planning;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// Opens what <c>--mount</c> names, once: everything later goes through the descriptor, so that the path may change
/// meanwhile without changing what the guest is shown.
/// </summary>
static class MountOpener
{
    /// <summary>
    /// A guest path written with <c>..</c> would differ from what the kernel opened: then the real one is used.
    /// </summary>
    public static (MountSource Source, FileDescriptor File) Open(MountArgument mount, string? workingDirectory)
    {
        if (!mount.Host.StartsWith('/') && workingDirectory is null)
            throw Mistake(mount, "is relative, and the working directory is gone; write it with a leading /");
        FileDescriptor? path = null;
        try
        {
            int error = FileDescriptor.TryOpen(mount.Host, O_PATH, 0, out path);
            if (error != 0)
                throw Mistake(mount, $"cannot be opened: {CallerFile.Why(error)}");
            string real = HostTree.PathOf(path!) ?? throw Mistake(mount, "has no path; is /proc mounted?");
            bool directory = Kind(mount, path!) == HostEntryKind.Directory;
            HostMount own = MountRules.Check(mount, path!, real, directory, HostMount.All());
            string guest = mount.Guest ?? SamePath(mount, real, workingDirectory);
            var source = new MountSource(mount.Host, real, guest, directory, mount.Writable)
            {
                Origin = mount.Origin, Quota = mount.Quota,
                FoldsNames = directory && (FoldingFileSystems.IsOne(own) || FoldingFileSystems.Folds(path!)),
            };
            FileDescriptor file = directory ? path! : Reopen(mount, path!);
            if (directory)
                path = null;
            return (source, file);
        }
        finally
        {
            path?.Dispose();
        }
    }

    static HostEntryKind Kind(MountArgument mount, FileDescriptor path)
    {
        int error = path.GetStatus(out stat status);
        if (error != 0)
            throw Mistake(mount, $"cannot be examined: {Errno.Describe(-error)}");
        HostEntryKind kind = HostTree.KindOf(status.st_mode);
        if (kind == HostEntryKind.Special)
            throw Mistake(mount, $"is a {SpecialName(status.st_mode)}; only folders and regular files can be mounted");
        if (status.st_nlink == 0)
            throw Mistake(mount, "has been removed; name one that exists");
        return kind;
    }

    static string SpecialName(uint mode)
    {
        if (S_ISCHR(mode) || S_ISBLK(mode))
            return "device";
        return S_ISSOCK(mode) ? "socket" : "pipe";
    }

    // O_PATH descriptors of files cannot be read; this reopens exactly the file that was examined.
    static FileDescriptor Reopen(MountArgument mount, FileDescriptor path)
    {
        int flags = (mount.Writable ? O_RDWR : O_RDONLY) | O_NOCTTY;
        int error = path.TryReopen(flags, out FileDescriptor? file);
        return error == 0
            ? file!
            : throw Mistake(
                mount, $"cannot be opened for {(mount.Writable ? "writing" : "reading")}: {Errno.Describe(-error)}");
    }

    static string SamePath(MountArgument mount, string real, string? workingDirectory)
    {
        string path = mount.Host.Split('/').Contains("..") ? real : Path.Combine(workingDirectory ?? "/", mount.Host);
        return PathArgument.Normalize(MountArgument.Flag, path);
    }

    static UsageException Mistake(MountArgument mount, string what) =>
        new($"{mount.Origin}: {Quote.Value(mount.Host)} {what}");
}
