using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>Paths in the guest's file tree: absolute, normalised, bounded as the kernel bounds them.</summary>
public static class GuestPath
{
    /// <summary>PATH_MAX without the terminating NUL, in bytes.</summary>
    const int MaximumBytes = 4095;

    /// <summary>NAME_MAX, in bytes.</summary>
    public const int MaximumNameBytes = 255;

    /// <summary>
    /// Drops repeated and trailing slashes and '.'; refuses what is relative, too long or holds '..'.
    /// </summary>
    /// <param name="problem">What is wrong, when false is returned.</param>
    public static bool TryNormalize(string path, out string normalized, out string problem)
    {
        normalized = "";
        problem = Problem(path);
        if (problem.Length > 0)
            return false;
        var normal = new StringBuilder(path.Length);
        foreach (string name in path.Split('/'))
            if (name is not ("" or "."))
                normal.Append('/').Append(name);
        normalized = normal.Length == 0 ? "/" : normal.ToString();
        return true;
    }

    static string Problem(string path)
    {
        if (!path.StartsWith('/'))
            return $"the guest path {Quote.Value(path)} must be absolute; begin it with /";
        if (path.Contains('\0', StringComparison.Ordinal))
            return $"the guest path {Quote.Value(path)} holds a NUL";
        if (Encoding.UTF8.GetByteCount(path) > MaximumBytes)
            return $"the guest path {Quote.Value(path)} is longer than {MaximumBytes} bytes";
        foreach (string name in path.Split('/'))
        {
            if (name == "..")
                return $"the guest path {Quote.Value(path)} must not hold '..'; write it out";
            if (Encoding.UTF8.GetByteCount(name) > MaximumNameBytes)
                return $"a name in the guest path {Quote.Value(path)} is longer than {MaximumNameBytes} bytes";
        }

        return "";
    }

    /// <summary>True when <paramref name="path"/> is <paramref name="ancestor"/> or lies below it.</summary>
    public static bool IsWithin(string path, string ancestor) =>
        ancestor == "/" || path == ancestor
        || (path.Length > ancestor.Length && path[ancestor.Length] == '/'
            && path.StartsWith(ancestor, StringComparison.Ordinal));

    /// <summary>The parent of a normalised path other than "/".</summary>
    public static string Parent(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash == 0 ? "/" : path[..slash];
    }
}
