using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>
/// Holds what the kernel tells of a jail to what is expected of it, line by line. Pure. A wall that could not be built
/// is missing, whether that was told or not; what cannot be read is never taken for good.
/// </summary>
sealed partial class JailComparison
{
    readonly JailFacts _facts;
    readonly JailExpectation _expected;
    readonly List<FactLine> _lines = [];

    JailComparison(JailFacts facts, JailExpectation expected)
    {
        _facts = facts;
        _expected = expected;
    }

    public static IReadOnlyList<FactLine> Of(JailFacts facts, JailExpectation expected)
    {
        var comparison = new JailComparison(facts, expected);
        comparison.CompareNamespaces();
        comparison.CompareCredentials();
        comparison.CompareProcess();
        comparison.CompareFiles();
        comparison.CompareGroups();
        return comparison._lines;
    }

    void Add(JailWalls wall, string name, string expected, Finding finding)
    {
        if (wall != JailWalls.None && !_expected.Wanted.HasFlag(wall))
            return;
        string? advice = finding.Verdict switch
        {
            FactVerdict.CannotBeRead => finding.Advice ?? Advice(finding.Errno),
            FactVerdict.Missing when _expected.Told is string told && wall != JailWalls.None =>
                $"told at the start: {Quote.Value(told)}",
            _ => finding.Advice,
        };
        _lines.Add(new FactLine(wall, name, expected, finding.Found, finding.Verdict, finding.Source, advice));
    }

    string Advice(int errno) => errno switch
    {
        EACCES or EPERM when !_facts.IsReadByRoot =>
            $"{Errno.Describe(errno)}: only root may read this of a process that cannot be dumped; run it as root",
        EBADMSG => "what the kernel tells is not understood",
        EOVERFLOW => "there is too much of it to look at",
        _ => Errno.Describe(errno),
    };

    /// <summary>Looks at every thread: one that differs is where an attacker would be.</summary>
    /// <param name="fault">What is wrong with one, or null.</param>
    /// <param name="good">What all of them have, when nothing is.</param>
    Finding OnEveryThread(Func<ThreadFacts, ThreadStatus, string?> fault, Func<ThreadStatus, string> good)
    {
        if (!_facts.Threads.Is(out ThreadFacts[]? threads))
            return TooMany(_facts.Threads.Errno, "threads");
        List<string> faults = [];
        int unread = threads.Length == 0 ? ESRCH : 0;
        string found = "";
        foreach (ThreadFacts thread in threads)
        {
            if (!thread.Status.Is(out ThreadStatus? status))
                unread = thread.Status.Errno;
            else if (fault(thread, status) is string wrong)
                faults.Add($"{wrong} on {Who(thread)}");
            else
                found = good(status);
        }

        if (faults.Count > 0)
            return new Finding(
                Finding.Some(faults), faults.Count == threads.Length ? FactVerdict.Missing : FactVerdict.Weaker);
        return unread != 0 ? Finding.CannotBeRead(unread) : Finding.Holds($"{found} on {threads.Length} threads");
    }

    /// <summary>What nobody has so many of is wrong, and not merely unknown.</summary>
    static Finding TooMany(int errno, string what) => errno == EOVERFLOW
        ? Finding.Weaker($"more than {FactReader.Most} {what}")
        : Finding.CannotBeRead(errno);

    // A thread's name is the VMM's own choice.
    static string Who(ThreadFacts thread) => $"thread {thread.Tid} {Quote.Value(thread.Name)}";
}
