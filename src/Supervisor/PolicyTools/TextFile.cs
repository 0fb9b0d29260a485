using System.Text;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.PolicyTools;

/// <summary>Files that the tools write: whole, or not at all.</summary>
static class TextFile
{
    const UnixFileMode Ordinary =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    /// <summary>For what its owner alone may read.</summary>
    public const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Writes a new file; what has the name already is replaced in one step and keeps its mode.</summary>
    /// <exception cref="UsageException">It cannot be written.</exception>
    public static void Write(string path, string text) => Try(path, () =>
    {
        // The file that a link leads to, not the link.
        string target = new FileInfo(path).LinkTarget is null ? path : File.ResolveLinkTarget(path, returnFinalTarget: true)!.FullName;
        bool exists = File.Exists(target);
        // A pipe or a terminal has no name to give away.
        if (!exists && Path.Exists(target))
        {
            File.WriteAllText(target, text);
            return;
        }

        string temporary = $"{target}.{Environment.ProcessId}";
        Create(temporary, text, exists ? File.GetUnixFileMode(target) : Ordinary);
        File.Move(temporary, target, overwrite: true);
    });

    /// <summary>Writes a file that must not be there yet.</summary>
    /// <exception cref="UsageException">It is there, or cannot be written.</exception>
    public static void WriteNew(string path, string text, UnixFileMode mode = Ordinary) => Try(path, () => Create(path, text, mode));

    static void Create(string path, string text, UnixFileMode mode)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode };
        using FileStream file = File.Open(path, options);
        try
        {
            file.Write(Encoding.UTF8.GetBytes(text));
            file.Flush(flushToDisk: true);
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    static void Try(string path, Action write)
    {
        try
        {
            write();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            string why = failure is UnauthorizedAccessException ? "permission denied" : File.Exists(path) ? "it exists already" : failure.Message;
            throw new UsageException($"{Quote.Value(path)} cannot be written: {why.ReplaceLineEndings(" ").TrimEnd('.')}");
        }
    }
}
