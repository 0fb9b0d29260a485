using System.Text;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>Paths in the guest's file tree: absolute, normalised, bounded as the kernel bounds them.</summary>
static class GuestPath
{
    /// <summary>PATH_MAX without the terminating NUL, in bytes.</summary>
    const int MaximumBytes = 4095;

    /// <summary>NAME_MAX, in bytes.</summary>
    const int MaximumNameBytes = 255;

    /// <summary>Drops repeated and trailing slashes and '.'; refuses what is relative, too long or holds '..'.</summary>
    public static string Normalize(string flag, string path)
    {
        if (!path.StartsWith('/'))
            throw new UsageException($"{flag}: the guest path {Quote.Value(path)} must be absolute; begin it with /");
        if (Encoding.UTF8.GetByteCount(path) > MaximumBytes)
            throw new UsageException($"{flag}: the guest path {Quote.Value(path)} is longer than {MaximumBytes} bytes");
        var normal = new StringBuilder(path.Length);
        foreach (string name in path.Split('/'))
        {
            if (name is "" or ".")
                continue;
            if (name == "..")
                throw new UsageException($"{flag}: the guest path {Quote.Value(path)} must not hold '..'; write it out");
            if (Encoding.UTF8.GetByteCount(name) > MaximumNameBytes)
                throw new UsageException(
                    $"{flag}: a name in the guest path {Quote.Value(path)} is longer than {MaximumNameBytes} bytes");
            normal.Append('/').Append(name);
        }

        return normal.Length == 0 ? "/" : normal.ToString();
    }

    /// <summary>True when <paramref name="path"/> is <paramref name="ancestor"/> or lies below it.</summary>
    public static bool IsWithin(string path, string ancestor) =>
        ancestor == "/" || path == ancestor
        || (path.Length > ancestor.Length && path[ancestor.Length] == '/' && path.StartsWith(ancestor, StringComparison.Ordinal));

    /// <summary>The parent of a normalised path other than "/".</summary>
    public static string Parent(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash == 0 ? "/" : path[..slash];
    }
}
