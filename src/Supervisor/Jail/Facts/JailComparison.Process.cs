using System.Globalization;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

// What holds for the process as a whole.
sealed partial class JailComparison
{
    static readonly string[] s_limits =
        ["Max core file size", "Max msgqueue size", "Max locked memory", "Max realtime priority"];

    void CompareProcess()
    {
        Add(JailWalls.Limits, "limits", "no core dump, message queue, locked memory or real-time priority", Limits());
        Add(JailWalls.None, "not dumpable", "its files in /proc are not its user's", Dumpable());
        Add(JailWalls.None, "session", "its own", Session());
        Add(JailWalls.None, "child processes", "none", Children());
        Add(JailWalls.None, "environment", "empty", _facts.Environment.Is(out string? text)
            ? Finding.HoldsIf(text.Length == 0, text.Length == 0 ? "empty" : $"{text.Length} characters")
            : Finding.CannotBeRead(_facts.Environment.Errno));
        Add(JailWalls.None, "OOM score", $"not below {_expected.OomScore}", OomScore());
        Add(JailWalls.None, "death signal", "its supervisor's end is its own", Built("set"));
        if (_expected.HasKeyring)
            Add(JailWalls.None, "session keyring", "an empty one of its own", Built("joined"));
    }

    /// <summary>The jail's script goes no further when one of its calls fails.</summary>
    static Finding Built(string done) => Finding.Holds($"{done} before the VMM ran") with { Source = FactSource.Built };

    Finding Limits()
    {
        if (!_facts.Limits.Is(out Dictionary<string, ResourceLimit>? limits))
            return Finding.CannotBeRead(_facts.Limits.Errno);
        string[] unknown = [.. s_limits.Where(name => !limits.ContainsKey(name))];
        if (unknown.Length > 0)
            return Finding.CannotBeRead(EBADMSG);
        string[] open = [.. s_limits.Where(name => limits[name] != default)
            .Select(name => $"{name} {Text(limits[name].Soft)} of {Text(limits[name].Hard)}")];
        if (open.Length == 0)
            return Finding.Holds("all 0");
        return new Finding(
            string.Join(", ", open), open.Length == s_limits.Length ? FactVerdict.Missing : FactVerdict.Weaker);

        static string Text(ulong limit) =>
            limit == ulong.MaxValue ? "unlimited" : limit.ToString(CultureInfo.InvariantCulture);
    }

    Finding Dumpable()
    {
        if (!_facts.FilesOwner.Is(out uint owner))
            return Finding.CannotBeRead(_facts.FilesOwner.Errno);
        if (_facts.Threads.Is(out ThreadFacts[]? threads) && threads.Length > 0
            && threads[0].Status.Is(out ThreadStatus? status) && status.Uids[1] != 0)
            return Finding.HoldsIf(owner != status.Uids[1], $"they are user {owner}'s");
        const string either = "the files of a process that runs as root are root's either way";
        return Finding.CannotBeRead(0) with { Advice = either };
    }

    Finding Session()
    {
        if (!_facts.Threads.Is(out ThreadFacts[]? threads))
            return TooMany(_facts.Threads.Errno, "threads");
        return threads is [{ Session: var session }, ..]
            ? Finding.HoldsIf(session == _facts.Pid, $"session {session}")
            : Finding.CannotBeRead(ESRCH);
    }

    Finding Children()
    {
        if (!_facts.Threads.Is(out ThreadFacts[]? threads))
            return TooMany(_facts.Threads.Errno, "threads");
        int unread = threads.Length == 0 ? ESRCH : 0;
        List<string> all = [];
        foreach (ThreadFacts thread in threads)
        {
            if (!thread.Children.Is(out string? children))
                unread = thread.Children.Errno;
            else if (children.Length > 0)
                all.AddRange(children.Split(' ').Select(Quote.Value));
        }

        if (all.Count > 0)
            return Finding.Missing(Finding.Some(all));
        return unread == 0 ? Finding.Holds("none") : Finding.CannotBeRead(unread);
    }

    Finding OomScore()
    {
        if (!_facts.OomScore.Is(out string? text))
            return Finding.CannotBeRead(_facts.OomScore.Errno);
        return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int score)
            ? Finding.HoldsIf(score >= _expected.OomScore, $"{score}")
            : Finding.CannotBeRead(EBADMSG);
    }
}
