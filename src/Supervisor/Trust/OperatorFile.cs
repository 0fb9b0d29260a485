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

    /// <summary>Null when there is no such file.</summary>
    /// <param name="owner">Who must own the file and its folder.</param>
    /// <exception cref="UsageException">It cannot be relied on.</exception>
    public static SourceText? Read(string path, uint owner)
    {
        string above = Path.GetDirectoryName(path)!;
        int error = FileDescriptor.TryOpen(above, O_RDONLY | O_DIRECTORY, 0, out FileDescriptor? folder);
        using (folder)
        {
            if (error is -ENOENT)
                return null;
            if (error != 0)
                throw Mistake(path, $"is in a folder that cannot be opened: {Errno.Describe(-error)}");
            // Also for a file that is not there: who may change the folder may have removed it.
            if (TrustedPath.FirstChangeable(above, owner) is string changeable)
                throw Changeable(path, owner, changeable == above ? "its folder" : Quote.Value(changeable));
            error = FileDescriptor.TryOpenAt(folder!, Path.GetFileName(path),
                O_RDONLY | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0, out FileDescriptor? file);
            using (file)
            {
                if (error is -ENOENT)
                    return null;
                if (error != 0)
                    throw Mistake(path, $"cannot be opened: {Errno.Describe(-error)}");
                Check(path, file!, owner);
                return PolicyOpener.Read(path, file!, out string problem) ?? throw Mistake(path, problem);
            }
        }
    }

    static void Check(string path, FileDescriptor file, uint owner)
    {
        int error = file.GetStatus(out stat status);
        if (error != 0)
            throw Mistake(path, $"cannot be examined: {Errno.Describe(-error)}");
        if (!S_ISREG(status.st_mode))
            throw Mistake(path, "is not a regular file");
        if (status.st_uid != owner || (status.st_mode & TrustedPath.WritableByOthers) != 0)
            throw Changeable(path, owner, "it");
    }

    static UsageException Changeable(string path, uint owner, string what) => Mistake(
        path, $"cannot be relied on: others than user {owner} may change {what}; correct its owner and mode");

    static UsageException Mistake(string path, string what) => new($"{Quote.Value(path)} {what}");
}
