using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Trust;

/// <summary>
/// Where a host remembers which revisions it has seen. It is replaced in one step, so that it is always whole; whoever
/// raises a revision holds a lock on its folder. A revision that is recorded already takes no right to write.
/// </summary>
static unsafe class RevisionFile
{
    const uint Mode = 0x1a4; // rw-r--r--
    const uint FolderMode = 0x1ed; // rwxr-xr-x

    /// <summary>Refuses what is older than what was seen, and records what is newer.</summary>
    /// <exception cref="UntrustedException">It is older.</exception>
    /// <exception cref="UsageException">The record cannot be relied on, or not be written.</exception>
    public static void Advance(string path, uint owner, string policy, long revision)
    {
        if (Highest(path, owner, policy, revision).Highest(policy) == revision)
            return;
        string folder = Path.GetDirectoryName(path)!;
        fixed (byte* name = Encoding.UTF8.GetBytes(folder + '\0'))
            mkdirat(AT_FDCWD, name, FolderMode);
        int error = FileDescriptor.TryOpen(folder, O_RDONLY | O_DIRECTORY, 0, out FileDescriptor? directory);
        if (error != 0)
            throw Unwritable(path, revision, error);
        using (directory)
        {
            while (flock(directory!.Value, LOCK_EX) != 0)
                if (errno != EINTR)
                    throw Unwritable(path, revision, -errno);
            // Somebody else may have been here since.
            RevisionRecord record = Highest(path, owner, policy, revision);
            record.Raise(policy, revision);
            Replace(path, directory, record.Write(), revision);
        }
    }

    static RevisionRecord Highest(string path, uint owner, string policy, long revision)
    {
        RevisionRecord record = RevisionRecord.TryParse(OperatorFile.Read(path, owner)?.Content)
            ?? throw new UsageException(
                $"{Quote.Value(path)} is not a record of revisions; restore it, or remove it to begin anew");
        return record.Highest(policy) <= revision
            ? record
            : throw new UntrustedException(
                $"revision {revision} of the policy {policy} is older than revision {record.Highest(policy)}, which "
                    + "this host has seen; use that or a newer one");
    }

    static void Replace(string path, FileDescriptor folder, string text, long revision)
    {
        string name = Path.GetFileName(path), temporary = name + ".new";
        // What an interrupted call left is written over.
        int error = FileDescriptor.TryOpenAt(
            folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, Mode, out FileDescriptor? file);
        if (error != 0)
            throw Unwritable(path, revision, error);
        using (file)
        {
            ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(text);
            while (!rest.IsEmpty)
            {
                nint written = file!.Write(rest);
                if (written < 0 && written != -EINTR)
                    throw Unwritable(path, revision, (int)written);
                rest = rest[(int)Math.Max(written, 0)..];
            }

            fixed (byte* from = Encoding.UTF8.GetBytes(temporary + '\0'), to = Encoding.UTF8.GetBytes(name + '\0'))
                if (fsync(file!.Value) != 0
                    || renameat(folder.Value, from, folder.Value, to) != 0
                    || fsync(folder.Value) != 0)
                    throw Unwritable(path, revision, -errno);
        }
    }

    static UsageException Unwritable(string path, long revision, int error) => new(
        $"revision {revision} is new to this host and cannot be recorded in {Quote.Value(path)}: "
        + $"{Errno.Describe(-error)}; "
        + "have the operator run sandbox policy verify on it once");
}
