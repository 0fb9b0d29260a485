using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Trust;

/// <summary>
/// Files by which an operator binds whoever starts guests. One that others can change binds nobody, so it is refused
/// rather than ignored; so is one that is there and cannot be read.
/// </summary>
static class OperatorFile
{
    /// <summary>The user who owns them.</summary>
    public const uint Root = 0;

    const uint WritableByOthers = 0x12; // -w--w-

    /// <summary>Null when there is no such file.</summary>
    /// <param name="owner">Who must own the file and its folder.</param>
    /// <exception cref="UsageException">It cannot be relied on.</exception>
    public static SourceText? Read(string path, uint owner)
    {
        int error =
            FileDescriptor.TryOpen(Path.GetDirectoryName(path)!, O_RDONLY | O_DIRECTORY, 0, out FileDescriptor? folder);
        using (folder)
        {
            if (error is -ENOENT)
                return null;
            if (error != 0)
                throw Mistake(path, $"is in a folder that cannot be opened: {Errno.Describe(-error)}");
            // Also for a file that is not there: who may change the folder may have removed it.
            Check(path, folder!, owner, S_IFDIR, "its folder");
            error = FileDescriptor.TryOpenAt(folder!, Path.GetFileName(path),
                O_RDONLY | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0, out FileDescriptor? file);
            using (file)
            {
                if (error is -ENOENT)
                    return null;
                if (error != 0)
                    throw Mistake(path, $"cannot be opened: {Errno.Describe(-error)}");
                Check(path, file!, owner, S_IFREG, "it");
                return PolicyOpener.Read(path, file!, out string problem) ?? throw Mistake(path, problem);
            }
        }
    }

    static void Check(string path, FileDescriptor file, uint owner, uint kind, string what)
    {
        int error = file.GetStatus(out stat status);
        if (error != 0)
            throw Mistake(path, $"cannot be examined: {Errno.Describe(-error)}");
        if ((status.st_mode & S_IFMT) != kind)
            throw Mistake(path, "is not a regular file");
        if (status.st_uid != owner || (status.st_mode & WritableByOthers) != 0)
            throw Mistake(
                path, $"cannot be relied on: others than user {owner} may change {what}; correct its owner and mode");
    }

    static UsageException Mistake(string path, string what) => new($"{Quote.Value(path)} {what}");
}
