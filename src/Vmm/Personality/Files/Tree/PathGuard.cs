using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// Asks the policy's path rules, after a path has been resolved: links and '..' are gone, and what is asked about is
/// where the walk ended, by its whole path in the guest's tree. Costs nothing where the plan has no rules.
/// </summary>
static class PathGuard
{
    /// <returns>0 when all of the accesses are allowed, else -EACCES.</returns>
    public static long Check(Dentry target, PathAccess access) =>
        target.Mount.Rules is null ? 0 : Check(target.Mount.Rules, target, default, access);

    /// <summary>About a name in a directory, whether or not it exists.</summary>
    public static long Check(Dentry directory, ReadOnlySpan<byte> name, PathAccess access) =>
        directory.Mount.Rules is null ? 0 : Check(directory.Mount.Rules, directory, name, access);

    /// <summary>What may be used in no way at all cannot be looked at either.</summary>
    public static long CheckVisible(Dentry target)
    {
        if (target.Mount.Rules is not PathRules rules)
            return 0;
        Span<byte> buffer = stackalloc byte[PATH_MAX];
        return TryPath(target, default, buffer, out ReadOnlySpan<byte> path) && rules.Allowed(path) != PathAccess.None ? 0 : -EACCES;
    }

    /// <summary>
    /// A file that gets another name must not become open to more. A directory takes all below it along, so its new
    /// place must have the same rules. -EXDEV otherwise: mv then copies, and each copy is asked about.
    /// </summary>
    public static long CheckMove(Dentry moved, Dentry directory, ReadOnlySpan<byte> name)
    {
        if (moved.Mount.Rules is not PathRules rules)
            return 0;
        Span<byte> oldBuffer = stackalloc byte[PATH_MAX], newBuffer = stackalloc byte[PATH_MAX];
        if (!TryPath(moved, default, oldBuffer, out ReadOnlySpan<byte> oldPath)
            || !TryPath(directory, name, newBuffer, out ReadOnlySpan<byte> newPath))
            return -EACCES;
        bool same = moved.Inode.IsDirectory
            ? rules.AreAlikeBelow(oldPath, newPath)
            : (rules.Allowed(newPath) & ~rules.Allowed(oldPath)) == PathAccess.None;
        return same ? 0 : -EXDEV;
    }

    private static long Check(PathRules rules, Dentry target, ReadOnlySpan<byte> name, PathAccess access)
    {
        Span<byte> buffer = stackalloc byte[PATH_MAX];
        bool allowed = TryPath(target, name, buffer, out ReadOnlySpan<byte> path)
            && (access & ~rules.Allowed(path)) == PathAccess.None;
        return allowed ? 0 : -EACCES;
    }

    /// <summary>Writes the path from its end. False when it does not fit: a rule that cannot be asked denies.</summary>
    private static bool TryPath(Dentry target, ReadOnlySpan<byte> name, Span<byte> buffer, out ReadOnlySpan<byte> path)
    {
        int at = buffer.Length;
        path = default;
        if (!name.IsEmpty && !TryPrepend(name, buffer, ref at))
            return false;
        for (Dentry d = target; d.Parent is not null; d = d.Parent)
            if (!TryPrepend(d.Name, buffer, ref at))
                return false;
        if (at == buffer.Length)
            buffer[--at] = (byte)'/';
        path = buffer[at..];
        return true;
    }

    private static bool TryPrepend(ReadOnlySpan<byte> name, Span<byte> buffer, ref int at)
    {
        if (at < name.Length + 1)
            return false;
        at -= name.Length;
        name.CopyTo(buffer[at..]);
        buffer[--at] = (byte)'/';
        return true;
    }
}
