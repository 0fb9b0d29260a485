using Sandbox.Supervisor.Jail;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>All attempts of the hostile program in one jail, and how each ended: SUCCEEDED or "refused ERRNO".</summary>
static class Attempts
{
    public const string Succeeded = "SUCCEEDED";

    /// <summary>Less than the hostile program takes; see resources.c.</summary>
    static readonly string[] s_limits = ["--memory", "64m", "--processes", "16"];

    /// <param name="walls">Null for the whole jail, built by the native program.</param>
    /// <param name="prefix">Words before each command, to run it as somebody else.</param>
    /// <param name="obeys">It puts on what came with the plan, as a VMM does whose guest has taken it over since.</param>
    /// <param name="deniesWriteExecute">It has refused itself executable memory, as every VMM does first.</param>
    public static Dictionary<string, string> Make(
        JailWalls? walls, string[] prefix, bool obeys = true, bool deniesWriteExecute = true)
    {
        using var victim = new Victim(prefix);
        string puts = $"{(obeys ? "obey=1\n" : "")}{(obeys && deniesWriteExecute ? "deny-write-execute=1\n" : "")}";
        var vmm = new HostileVmm($"scenario=attempts\n{puts}{victim.Settings}", walls);
        Outcome outcome = World.Start(
            vmm.Command(prefix, [.. s_limits, "--mount", $"{victim.Granted}:/granted"]), victim.Folder);
        bool isBombed = outcome.Status == 128 + SIGKILL
            && outcome.ErrorText.Contains("at their control group's limit", StringComparison.Ordinal);
        Assert.True(outcome is { TimedOut: false, Left.Count: 0 } && (outcome.Status == 0 || isBombed),
            $"left: {string.Join(", ", outcome.Left)}\n{outcome}");
        if (walls is null)
            victim.AssertUnharmed();
        Dictionary<string, string> made = Read(outcome.ErrorText);
        // The last of them: it takes the whole group along where that is of version 2.
        if (isBombed)
            made.Add("memory bomb", "refused SIGKILL");
        return made;
    }

    public static Dictionary<string, string> Read(string text)
    {
        var verdicts = new Dictionary<string, string>();
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            string[] parts = line.Split(": ");
            // "granted: read a file: refused EACCES"; the supervisor's own lines have no verdict.
            if (parts.Length >= 2 && (parts[^1] == Succeeded || parts[^1].StartsWith("refused ", StringComparison.Ordinal)))
                verdicts.Add(line[..line.LastIndexOf(": ", StringComparison.Ordinal)], parts[^1]);
        }

        return verdicts;
    }
}
