using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Planning;

/// <summary>
/// Paths of a policy are compared byte for byte. Below a folder whose file system takes "name" and "NAME" for one, a
/// guest would pass what is said of either by opening the other.
/// </summary>
static class FoldedNames
{
    /// <exception cref="UsageException">Something tells names in such a folder apart.</exception>
    public static void Check(PolicyModel policy, string home, IReadOnlyList<MountSource> mounts)
    {
        foreach (MountSource mount in mounts.Where(mount => mount.FoldsNames))
        {
            IRule? rule = policy.PathRules.FirstOrDefault(rule => TellsApart(rule, home, mount.GuestPath));
            rule ??= policy.Hidden.FirstOrDefault(hidden => IsInside(hidden.Path));
            rule ??= policy.Shown.FirstOrDefault(shown => IsInside(shown.Path));
            string? what = rule is not null ? $"{rule.Span}"
                : mounts.FirstOrDefault(other => IsInside(other.GuestPath)) is MountSource inside ? inside.Origin : null;
            if (what is not null)
                throw new UsageException(
                    $"{mount.Origin}: {Quote.Value(mount.Host)} is in a file system that takes capital and small letters "
                        + $"for the same, so that a guest could pass what {what} says of a name in it; mount the folders "
                        + "you need one by one, or copy them to another file system");

            bool IsInside(string path) => FoldedNames.IsInside(CompiledPolicy.ExpandHome(path, home), mount.GuestPath);
        }
    }

    static bool IsInside(string path, string folder) => path != folder && GuestPath.IsWithin(path, folder);

    /// <summary>Whether a rule says something of a name below a folder that it does not say of all of them.</summary>
    static bool TellsApart(PathRule rule, string home, string folder) =>
        rule.Patterns.Zip(CompiledPolicy.LiteralPrefixes(rule, home)).Any(pattern =>
        {
            (string text, string literal) = (CompiledPolicy.ExpandHome(pattern.First.Value, home), pattern.Second);
            return IsInside(literal, folder)
                || (GuestPath.IsWithin(folder, literal) && text != literal && text != $"{literal.TrimEnd('/')}/**");
        });
}
