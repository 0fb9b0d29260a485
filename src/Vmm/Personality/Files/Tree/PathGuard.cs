using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Audit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// Asks the policy's path rules, after a path has been resolved: links and '..' are gone, and what is asked about is
/// where the walk ended, by its whole path in the guest's tree. Costs nothing where the plan has no rules. Where decisions are recorded, each access is one.
/// </summary>
static partial class PathGuard
{
    /// <returns>0 when all of the accesses are allowed, else -EACCES.</returns>
    public static long Check(Dentry target, PathAccess access)
    {
        if (target.Mount.Rules is not null)
            return Check(target.Mount, target, default, access);
        return target.Mount.ExecutionRules is PathRules rules && (access & PathAccess.Execute) != 0
            ? CheckUnnamed(rules, target.Mount.Recorder, isMemory: target.Inode is not LinkedFileInode)
            : 0;
    }

    /// <summary>
    /// Whether a file without a name may be run, which else would be a way around every rule on execution. A memory file's
    /// (memfd_create(2)) is the guest's choice and says nothing, so that all are asked about as one file of /dev/shm.
    /// About a host file that has lost its name no rule can be asked.
    /// </summary>
    private static long CheckUnnamed(PathRules rules, DecisionRecorder? recorder, bool isMemory)
    {
        ReadOnlySpan<byte> path = isMemory ? "/dev/shm/memfd"u8 : "/"u8;
        if (recorder is not null)
            return Check(recorder, rules, path, isWhole: isMemory, PathAccess.Execute);
        return isMemory && rules.Decide(path, PathAccess.Execute).Allowed ? 0 : -EACCES;
    }

    /// <summary>About a name in a directory, whether or not it exists.</summary>
    public static long Check(Dentry directory, ReadOnlySpan<byte> name, PathAccess access) =>
        directory.Mount.Rules is null ? 0 : Check(directory.Mount, directory, name, access);

    /// <summary>What may be used in no way at all cannot be looked at either.</summary>
    public static long CheckVisible(Dentry target)
    {
        if (target.Mount.Rules is not PathRules rules)
            return 0;
        Span<byte> buffer = stackalloc byte[PATH_MAX];
        bool isWhole = TryPath(target, default, buffer, out ReadOnlySpan<byte> path);
        if (target.Mount.Recorder is DecisionRecorder recorder)
            return CheckVisible(recorder, rules, path, isWhole);
        return isWhole && rules.Allowed(path) != PathAccess.None ? 0 : -EACCES;
    }

    /// <summary>
    /// A file that gets another name must not become open to more. A directory takes all below it along, so its new
    /// place must have the same rules. -EXDEV otherwise: mv then copies, and each copy is asked about.
    /// </summary>
    public static long CheckMove(Dentry moved, Dentry directory, ReadOnlySpan<byte> name)
    {
        if (moved.Mount.Rules is not PathRules rules)
            return 0;
        DecisionRecorder? recorder = moved.Mount.Recorder;
        long began = recorder is null ? 0 : HostClock.MonotonicNanoseconds();
        Span<byte> oldBuffer = stackalloc byte[PATH_MAX], newBuffer = stackalloc byte[PATH_MAX];
        bool areWhole = TryPath(moved, default, oldBuffer, out ReadOnlySpan<byte> oldPath)
            & TryPath(directory, name, newBuffer, out ReadOnlySpan<byte> newPath);
        long result = -EACCES;
        if (areWhole)
        {
            bool same = moved.Inode.IsDirectory
                ? rules.AreAlikeBelow(oldPath, newPath)
                : (rules.Allowed(newPath) & ~rules.Allowed(oldPath)) == PathAccess.None;
            result = same ? 0 : -EXDEV;
        }
        if (recorder is not null && recorder.Records(result == 0)
            && !recorder.RecordMove(
                (int)-result, HostClock.MonotonicNanoseconds() - began, oldPath, newPath, areWhole))
            return -EACCES;
        return result;
    }

    private static long Check(Mount mount, Dentry target, ReadOnlySpan<byte> name, PathAccess access)
    {
        Span<byte> buffer = stackalloc byte[PATH_MAX];
        bool isWhole = TryPath(target, name, buffer, out ReadOnlySpan<byte> path);
        if (mount.Recorder is DecisionRecorder recorder)
            return Check(recorder, mount.Rules!, path, isWhole, access);
        bool allowed = isWhole && (access & ~mount.Rules!.Allowed(path)) == PathAccess.None;
        return allowed ? 0 : -EACCES;
    }

    /// <summary>Writes the path from its end. False when it does not fit: a rule that cannot be asked denies.</summary>
    /// <param name="path">As much of its end as fits.</param>
    private static bool TryPath(Dentry target, ReadOnlySpan<byte> name, Span<byte> buffer, out ReadOnlySpan<byte> path)
    {
        int at = buffer.Length;
        bool fits = name.IsEmpty || TryPrepend(name, buffer, ref at);
        for (DentryPlace place = target.Place; fits && place.Parent is { } parent; place = parent.Place)
            fits = TryPrepend(place.Name, buffer, ref at);
        if (at == buffer.Length)
            buffer[--at] = (byte)'/';
        path = buffer[at..];
        return fits;
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
