using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.PolicyTools;

/// <summary>Files that the tools write: whole, or not at all.</summary>
static class TextFile
{
    const uint Ordinary = 0x1a4; // rw-r--r--

    /// <summary>For what its owner alone may read.</summary>
    public const uint Secret = 0x180; // rw-------

    /// <summary>Writes a new file; what has the name already is replaced in one step and keeps its mode.</summary>
    /// <exception cref="UsageException">It cannot be written.</exception>
    public static unsafe void Write(string path, string text)
    {
        uint mode = Ordinary;
        if (FileDescriptor.TryOpen(path, O_PATH, 0, out FileDescriptor? there) == 0)
        {
            using (there)
            {
                if (there!.GetStatus(out stat status) == 0 && !S_ISREG(status.st_mode))
                    throw Mistake(path, "it is not a regular file");
                mode = status.st_mode & 0xfff;
                // The file that a link leads to, not the link.
                path = HostTree.PathOf(there) ?? path;
            }
        }

        string temporary = $"{path}.{Environment.ProcessId}";
        WriteNew(temporary, text, mode, called: path);
        fixed (byte* from = Encoding.UTF8.GetBytes(temporary + '\0'), to = Encoding.UTF8.GetBytes(path + '\0'))
        {
            if (fchmodat(AT_FDCWD, from, mode, 0) == 0 && renameat(AT_FDCWD, from, AT_FDCWD, to) == 0)
                return;
            UsageException mistake = Mistake(path, Errno.Describe(errno));
            unlinkat(AT_FDCWD, from, 0);
            throw mistake;
        }
    }

    /// <summary>Writes a file that must not be there yet.</summary>
    /// <param name="mode">Its permission bits, less the caller's umask.</param>
    /// <param name="called">What it is to become, for messages; null for itself.</param>
    /// <exception cref="UsageException">It is there, or cannot be written.</exception>
    public static unsafe void WriteNew(string path, string text, uint mode = Ordinary, string? called = null)
    {
        int error = FileDescriptor.TryOpen(path, O_WRONLY | O_CREAT | O_EXCL, mode, out FileDescriptor? file);
        if (error != 0)
            throw Mistake(called ?? path, Errno.Describe(-error));
        using (file)
        {
            ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(text);
            while (!rest.IsEmpty && error == 0)
            {
                nint written = file!.Write(rest);
                if (written < 0 && written != -EINTR)
                    error = (int)written;
                rest = rest[(int)Math.Max(written, 0)..];
            }

            if (error == 0 && fsync(file!.Value) != 0)
                error = -errno;
        }

        if (error == 0)
            return;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            unlinkat(AT_FDCWD, name, 0);
        throw Mistake(called ?? path, Errno.Describe(-error));
    }

    static UsageException Mistake(string path, string why) => new($"{Quote.Value(path)} cannot be written: {why}");
}
