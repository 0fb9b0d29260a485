using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// The file that <c>--json</c> names. It is written without a name; only a finished record gets the name, in one step,
/// so that nobody ever reads half of one and a supervisor that is killed leaves none.
/// </summary>
sealed unsafe class ResultFile : IDisposable
{
    const string Flag = "--json";
    const uint Mode = 0x1b6; // rw-rw-rw-, less the caller's umask

    readonly string _path;
    readonly FileDescriptor? _folder;

    ResultFile(string path, FileDescriptor file, FileDescriptor? folder)
    {
        _path = path;
        File = file;
        _folder = folder;
    }

    FileDescriptor File { get; }

    public static ResultFile Open(string path)
    {
        // A pipe, a terminal or /dev/fd/N is written to directly: there is no name to give.
        if (!NamesNothingOrFile(path))
            return new ResultFile(path, OpenDirectly(path, 0), null);
        string folder = Path.GetDirectoryName(path) is { Length: > 0 } above ? above : ".";
        int error = FileDescriptor.TryOpen(folder, O_PATH | O_DIRECTORY, 0, out FileDescriptor? directory);
        if (error != 0)
            throw Mistake(path, error);
        error = FileDescriptor.TryOpen(folder, O_TMPFILE | O_WRONLY, Mode, out FileDescriptor? file);
        if (error == 0)
            return new ResultFile(path, file!, directory);
        directory!.Dispose();
        // Some network file systems have no files without names.
        if (error is -EOPNOTSUPP or -EISDIR or -ENOENT or -EINVAL)
            return new ResultFile(path, OpenDirectly(path, O_CREAT | O_TRUNC), null);
        throw Mistake(path, error);
    }

    /// <summary>Writes the record, and gives it its name.</summary>
    /// <returns>Why it could not be written; null when it was.</returns>
    /// <exception cref="HostException">The folder was removed or made read-only meanwhile.</exception>
    public string? Publish(ReadOnlySpan<byte> record)
    {
        while (!record.IsEmpty)
        {
            nint written = File.Write(record);
            if (written is < 0 and not -EINTR)
                return $"--json: the result record could not be written: {Errno.Describe((int)-written)}; the guest "
                    + "has ended, but how is not recorded";
            record = record[(int)Math.Max(written, 0)..];
        }

        if (_folder is not null)
            GiveName();
        return null;
    }

    void GiveName()
    {
        string name = Path.GetFileName(_path);
        string temporary = $".{name[..Math.Min(name.Length, 64)]}.{Environment.ProcessId}";
        fixed (byte* link = Bytes($"/proc/self/fd/{File.Value}"), first = Bytes(temporary), last = Bytes(name))
        {
            // linkat never replaces, renameat does.
            if (linkat(AT_FDCWD, link, _folder!.Value, first, AT_SYMLINK_FOLLOW) != 0)
                throw HostException.Last("linkat", _path);
            if (renameat(_folder.Value, first, _folder.Value, last) == 0)
                return;
            HostException failure = HostException.Last("renameat", _path);
            unlinkat(_folder.Value, first, 0);
            throw failure;
        }
    }

    public void Dispose()
    {
        File.Dispose();
        _folder?.Dispose();
    }

    static bool NamesNothingOrFile(string path)
    {
        stat status;
        fixed (byte* name = Bytes(path))
        {
            if (fstatat(AT_FDCWD, name, &status, 0) != 0)
                return true;
            if (S_ISDIR(status.st_mode))
                throw Mistake(path, -EISDIR);
            return S_ISREG(status.st_mode) && !path.StartsWith("/dev/", StringComparison.Ordinal);
        }
    }

    static FileDescriptor OpenDirectly(string path, int flags)
    {
        int error = CallerFile.TryOpen(path, O_WRONLY | O_NOCTTY | flags, Mode, out FileDescriptor? file);
        return error == 0 ? file! : throw Mistake(path, error);
    }

    static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text + '\0');

    static UsageException Mistake(string path, int error) =>
        new($"{Flag}: {Quote.Value(path)} cannot be written: {CallerFile.Why(error)}; name a file in a folder you may "
            + "write to");
}
