using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.Trust;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>Files that only their owner may touch: a log, its head, its key.</summary>
static unsafe class PrivateFile
{
    /// <summary>rw-------.</summary>
    public const uint Mode = 0x180;

    // The files are private; the folder may hold what others must be able to look for, such as a ceiling.
    const uint FolderMode = 0x1ed; // rwxr-xr-x

    /// <summary>Opens a regular file that belongs to this user or root and that nobody else can write to.</summary>
    /// <param name="flags">O_NOFOLLOW and O_NONBLOCK are added.</param>
    /// <returns>Null when it is not there.</returns>
    /// <exception cref="UsageException">It is something else, or not private enough.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public static FileDescriptor? Open(string path, int flags)
    {
        int error =
            FileDescriptor.TryOpen(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, Mode, out FileDescriptor? file);
        if (error == -ENOENT)
            return null;
        if (error != 0)
            throw new HostException(-error, "open", path, error == -ELOOP ? "a link is no such file" : null);
        error = file!.GetStatus(out stat status);
        string? fault = error != 0 ? "cannot be examined"
            : !S_ISREG(status.st_mode) ? "is no regular file"
            : status.st_uid != geteuid() && status.st_uid != 0 ? "belongs to another user"
            : (status.st_mode & TrustedPath.WritableByOthers) != 0 ? "can be written by others (chmod go-w)"
            : null;
        if (fault is null)
            return file;
        file.Dispose();
        throw new UsageException($"audit: {Sandbox.Policy.Language.Quote.Value(path)} {fault}");
    }

    /// <summary>Waits until a name is on the disk. Where a folder cannot be flushed, it needs no flush.</summary>
    /// <exception cref="HostException">The host refused.</exception>
    public static void FlushFolderOf(string path)
    {
        string folder = Path.GetDirectoryName(path)!;
        using FileDescriptor file = FileDescriptor.Open(folder, O_RDONLY | O_DIRECTORY);
        if (fsync(file.Value) != 0 && errno != EINVAL)
            throw HostException.Last("fsync", folder);
    }

    /// <summary>Makes the folder of a file, and those above it that are missing.</summary>
    /// <exception cref="HostException">The host refused.</exception>
    public static void MakeFolderOf(string path)
    {
        string? folder = Path.GetDirectoryName(path);
        if (string.IsNullOrEmpty(folder) || Directory.Exists(folder))
            return;
        MakeFolderOf(folder);
        fixed (byte* name = Encoding.UTF8.GetBytes(folder + '\0'))
            if (mkdirat(AT_FDCWD, name, FolderMode) != 0 && errno != EEXIST)
                throw HostException.Last("mkdir", folder);
        FlushFolderOf(folder);
    }

    /// <summary>Everything at an offset.</summary>
    /// <returns>0 or a negative error number; then some of it may have been written.</returns>
    public static int WriteAt(FileDescriptor file, ReadOnlySpan<byte> bytes, long offset)
    {
        while (!bytes.IsEmpty)
        {
            nint count = file.WriteAt(bytes, offset);
            if (count == -EINTR)
                continue;
            if (count <= 0)
                return count < 0 ? (int)count : -EIO;
            bytes = bytes[(int)count..];
            offset += count;
        }

        return 0;
    }

    /// <summary>As much as there is, up to the buffer's length.</summary>
    /// <exception cref="HostException">pread failed.</exception>
    public static int ReadAt(FileDescriptor file, Span<byte> buffer, long offset, string path)
    {
        int length = 0;
        while (length < buffer.Length)
        {
            nint count = file.ReadAt(buffer[length..], offset + length);
            if (count == -EINTR)
                continue;
            if (count < 0)
                throw new HostException((int)-count, "read", path);
            if (count == 0)
                break;
            length += (int)count;
        }

        return length;
    }
}
