using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Audit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// The same decisions, where they are recorded: each with its rule and the time that it took.
static partial class PathGuard
{
    /// <summary>What a mount refuses before any rule is asked, which is the policy's doing too.</summary>
    /// <returns>-EROFS.</returns>
    public static long RefuseReadOnly(Dentry target, ReadOnlySpan<byte> name, PathAccess access)
    {
        if (target.Mount is { Rules: PathRules rules, Recorder: DecisionRecorder recorder })
        {
            Span<byte> buffer = stackalloc byte[PATH_MAX];
            bool isWhole = TryPath(target, name, buffer, out ReadOnlySpan<byte> path);
            Verdict verdict = Decide(rules, path, isWhole, access, out long nanoseconds);
            // Refused either way: whether that could be recorded makes no difference.
            _ = recorder.RecordPath(
                DecisionKind.Path, access, EROFS, verdict.Allowed ? Verdict.NoRule : verdict.Rule, nanoseconds, path, isWhole);
        }
        return -EROFS;
    }

    private static long Check(
        DecisionRecorder recorder, PathRules rules, ReadOnlySpan<byte> path, bool isWhole, PathAccess access)
    {
        long result = 0;
        for (int bit = 0; bit < PathTables.AccessCount; bit++)
        {
            PathAccess one = access & (PathAccess)(1 << bit);
            if (one == PathAccess.None)
                continue;
            Verdict verdict = Decide(rules, path, isWhole, one, out long nanoseconds);
            if (!verdict.Allowed)
                result = -EACCES;
            if (recorder.Records(verdict.Allowed)
                && !recorder.RecordPath(
                    DecisionKind.Path, one, verdict.Allowed ? 0 : EACCES, verdict.Rule, nanoseconds, path, isWhole))
                result = -EACCES;
        }
        return result;
    }

    private static long CheckVisible(DecisionRecorder recorder, PathRules rules, ReadOnlySpan<byte> path, bool isWhole)
    {
        long began = HostClock.MonotonicNanoseconds();
        Verdict verdict = Verdict.Unmatched;
        for (int bit = 0; isWhole && !verdict.Allowed && bit < PathTables.AccessCount; bit++)
        {
            Verdict next = rules.Decide(path, (PathAccess)(1 << bit));
            // The rule that is named for a refusal is the first that refuses something.
            if (next.Allowed || verdict.Rule == Verdict.NoRule)
                verdict = next;
        }
        if (recorder.Records(verdict.Allowed)
            && !recorder.RecordPath(
                DecisionKind.Look, PathAccess.None, verdict.Allowed ? 0 : EACCES, verdict.Rule,
                HostClock.MonotonicNanoseconds() - began, path, isWhole))
            return -EACCES;
        return verdict.Allowed ? 0 : -EACCES;
    }

    private static Verdict Decide(
        PathRules rules, ReadOnlySpan<byte> path, bool isWhole, PathAccess access, out long nanoseconds)
    {
        long began = HostClock.MonotonicNanoseconds();
        Verdict verdict = isWhole ? rules.Decide(path, access) : Verdict.Unmatched;
        nanoseconds = HostClock.MonotonicNanoseconds() - began;
        return verdict;
    }
}
