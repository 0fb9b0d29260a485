using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Harness;

/// <summary>
/// Runs the program under test: <c>sandbox run FLAGS -- COMMAND</c> or any other of its commands. After each run
/// nothing of it may be left: no process, no file, no mount, no control group.
/// </summary>
static class SandboxRun
{
    static int s_folders;

    /// <summary>The guest user has the numbers of the user who runs the tests, so that both sides see the same owners.</summary>
    public static string User => $"{geteuid()}:{getegid()}";

    public static void Need()
    {
        Assert.True(File.Exists(Ring.Sandbox), $"{Ring.Sandbox} does not exist; ./sandbox builds it");
        Assert.SkipUnless(File.Exists("/dev/kvm"), "there is no /dev/kvm");
    }

    /// <summary><c>sandbox run</c> with the ring's usual bounds; flags given later win.</summary>
    public static Outcome Run(
        IReadOnlyList<string> flags, IReadOnlyList<string> command, byte[]? input = null, string? directory = null,
        TimeSpan? timeout = null, Action<ChildProcess>? whileRunning = null)
    {
        string[] usual = flags.Contains("--timeout") ? [] : ["--timeout", "100s"];
        return Command(["run", .. usual, .. flags, "--", .. command], input, directory, timeout, whileRunning);
    }

    /// <summary>Any command line of the program under test.</summary>
    public static Outcome Command(
        IReadOnlyList<string> arguments, byte[]? input = null, string? directory = null, TimeSpan? timeout = null,
        Action<ChildProcess>? whileRunning = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        Need();
        string temporary = Path.Combine(Ring.Folder, $"tmp-{Interlocked.Increment(ref s_folders)}");
        Directory.CreateDirectory(temporary);
        try
        {
            Outcome outcome = Capture.Run(Ring.Sandbox, [Ring.Sandbox, .. arguments], Environment(temporary, environment),
                directory ?? temporary, input, timeout ?? TimeSpan.FromSeconds(110), Leftovers, whileRunning);
            string[] files = Directory.GetFileSystemEntries(temporary);
            string[] mounts = [.. File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(Ring.Folder))];
            return outcome with { Left = [.. outcome.Left, .. files, .. mounts] };
        }
        finally
        {
            Directory.Delete(temporary, recursive: true);
        }
    }

    /// <summary>Fails the test unless the outcome is an end of the program's own making that left nothing behind.</summary>
    public static Outcome Clean(this Outcome outcome)
    {
        Assert.False(outcome.TimedOut, $"the sandbox did not end by itself\n{outcome}");
        Assert.True(outcome.Left.Count == 0, $"left behind: {string.Join("; ", outcome.Left)}\n{outcome}");
        return outcome;
    }

    /// <summary>Fails the test unless the outcome is clean and has this status.</summary>
    public static Outcome Ended(this Outcome outcome, int status)
    {
        outcome.Clean();
        Assert.True(outcome.Status == status, $"expected status {status}\n{outcome}");
        return outcome;
    }

    /// <summary>Fails the test unless stderr is exactly one line that contains all of these words.</summary>
    public static Outcome Says(this Outcome outcome, params string[] words)
    {
        string text = outcome.ErrorText;
        Assert.True(text.EndsWith('\n') && text.Count(c => c == '\n') == 1, $"expected one line on stderr\n{outcome}");
        foreach (string word in words)
            Assert.True(text.Contains(word, StringComparison.OrdinalIgnoreCase), $"expected \"{word}\" on stderr\n{outcome}");
        return outcome;
    }

    public static IReadOnlyList<string> Environment(
        string temporary, IReadOnlyDictionary<string, string>? more = null) =>
    [
        $"PATH={Tool.SearchPath}", "HOME=/nonexistent", $"TMPDIR={temporary}", "TERM=dumb",
        .. (more ?? new Dictionary<string, string>()).Select(v => $"{v.Key}={v.Value}"),
    ];

    static IReadOnlyList<string> Leftovers(ChildProcess child) =>
    [
        .. ProcessTable.LeftBehind(child.Pid, TimeSpan.FromMilliseconds(500)).Select(row => row.ToString()),
        .. ControlGroups.MadeBy(child.Pid),
    ];
}
