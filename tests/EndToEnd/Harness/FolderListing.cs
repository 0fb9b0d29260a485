using System.Security.Cryptography;
using System.Text;
using static Sandbox.Host.Libc;
using stat = Sandbox.Host.stat;

namespace Sandbox.EndToEnd.Harness;

/// <summary>A folder as text: one line a file with its kind, mode, size, target and content.</summary>
static class FolderListing
{
    public static byte[] Of(string folder)
    {
        var options = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0, ReturnSpecialDirectories = false };
        IEnumerable<string> lines = new DirectoryInfo(folder).EnumerateFileSystemInfos("*", options)
            .Select(entry => $"{Path.GetRelativePath(folder, entry.FullName)} {Describe(entry)}")
            .Order(StringComparer.Ordinal);
        return Encoding.UTF8.GetBytes(string.Join('\n', lines));
    }

    static string Describe(FileSystemInfo entry)
    {
        if (entry.LinkTarget is string target)
            return $"-> {target}";
        string mode = Convert.ToString((int)entry.UnixFileMode, 8);
        if (entry is not FileInfo file)
            return $"folder {mode}";
        if (Kind(entry.FullName) is var kind and not S_IFREG)
            return $"special {kind:x} {mode}"; // a FIFO would make a reader wait
        using FileStream stream = file.OpenRead();
        return $"file {mode} {file.Length} {Convert.ToHexString(SHA256.HashData(stream))[..16]}";
    }

    static unsafe uint Kind(string path)
    {
        stat status;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            return fstatat(AT_FDCWD, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_mode & S_IFMT : 0;
    }
}
