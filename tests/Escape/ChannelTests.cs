using System.Diagnostics;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>
/// A hostile VMM and its supervisor: whatever is said on the channel, or not said, the command line ends in time with one
/// line that is true, and nothing is left.
/// </summary>
public sealed class ChannelTests
{
    const string Misbehaved = "the VMM was stopped because it ";

    static Outcome Run(string scenario, string[] flags, int limit = 20)
    {
        World.Need();
        string folder = World.Current.NewFolder();
        var vmm = new HostileVmm($"scenario={scenario}\nmark={Mark(folder)}\n");
        Outcome outcome = World.Start(vmm.Command([], flags), folder, TimeSpan.FromSeconds(limit));
        Assert.False(outcome.TimedOut, outcome.ToString());
        Assert.True(outcome.Left.Count == 0, string.Join(", ", outcome.Left));
        Assert.Empty(Marked(folder));
        return outcome;
    }

    /// <summary>What processes call themselves that are to be found again.</summary>
    static string Mark(string folder) => $"esc-{Environment.ProcessId}-{Path.GetFileName(folder)}";

    static ProcessRow[] Marked(string folder) => [.. ProcessTable.All().Where(row => row.Name == Mark(folder))];

    [Theory]
    [InlineData("flood", Misbehaved + "sent a message out of place (18)")]
    [InlineData("flood-started", Misbehaved + "sent a message out of place (16)")]
    [InlineData("too-short", Misbehaved + "broke the channel's rules (message of 1 bytes instead of 32)")]
    [InlineData("too-long", Misbehaved + "broke the channel's rules (message larger than 32 bytes)")]
    [InlineData("wrong-version", Misbehaved + "speaks version 2 of the channel instead of 1")]
    [InlineData("wrong-kind", Misbehaved + "sent a message out of place (4294967295)")]
    [InlineData("supervisors-kind", Misbehaved + "sent a message out of place (1)")]
    [InlineData("started-twice", Misbehaved + "sent a message out of place (16)")]
    [InlineData("stopped-without-terminal", Misbehaved + "sent a message out of place (18)")]
    [InlineData("pass-descriptors", Misbehaved + "broke the channel's rules (more than 0 descriptors)")]
    [InlineData("pass-channel", Misbehaved + "broke the channel's rules (more than 0 descriptors)")]
    [InlineData("wrong-cause", "the VMM ended the guest for a reason that does not exist (4294967295, -1)")]
    [InlineData("wrong-status", "the VMM ended the guest for a reason that does not exist (1, -9223372036854775808)")]
    [InlineData("wrong-signal", "the VMM ended the guest for a reason that does not exist (2, 9223372036854775807)")]
    [InlineData("wrong-failure", "the VMM failed for an unknown reason")]
    [InlineData("empty", "the VMM ended unexpectedly")]
    [InlineData("close-and-live-on", "the VMM ended unexpectedly")]
    [InlineData("crash", "the VMM ended unexpectedly")]
    public void What_is_out_of_place_ends_the_VMM(string scenario, string line)
    {
        Outcome outcome = Run(scenario, []);
        Assert.True(outcome.Status == 125, outcome.ToString());
        Assert.Contains(line, Assert.Single(outcome.ErrorText.TrimEnd('\n').Split('\n')), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("end-first", 7)]
    [InlineData("end-and-live-on", 3)]
    [InlineData("pass-identity", 9)]
    public void What_it_says_last_counts_and_it_lives_on_for_a_moment_at_most(string scenario, int status)
    {
        Outcome outcome = Run(scenario, []);
        Assert.Equal((status, ""), (outcome.Status, outcome.ErrorText));
        Assert.True(outcome.Wall < TimeSpan.FromSeconds(12), outcome.ToString());
    }

    [Fact]
    public void Silence_is_not_waited_for_for_ever()
    {
        Outcome outcome = Run("silent", [], limit: 60);
        Assert.Equal(125, outcome.Status);
        Assert.Contains("the VMM did not start the guest within 30 s", outcome.ErrorText, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("never-end")]
    [InlineData("stop-itself")]
    [InlineData("block-signals")]
    public void The_supervisor_holds_the_time_limit(string scenario)
    {
        Outcome outcome = Run(scenario, ["--timeout", "1s"]);
        Assert.Equal(124, outcome.Status);
        Assert.Contains("by force", outcome.ErrorText, StringComparison.Ordinal);
    }

    /// <summary>The pipe that a detached supervisor empties ends with its VMM, whoever was sent the other end.</summary>
    [Fact]
    public void Descriptors_that_it_leaves_in_a_queue_keep_no_supervisor()
    {
        World.Need();
        string folder = World.Current.NewFolder();
        var vmm = new HostileVmm("scenario=leave-descriptors\n");
        Outcome outcome = World.Start(vmm.Command([], "--detach"), folder);
        Assert.True(outcome is { Status: 0, TimedOut: false }, outcome.ToString());
        string id = outcome.Text.Trim();
        var clock = Stopwatch.StartNew();
        Outcome ended = World.Start([World.Sandbox, "wait", id], folder, TimeSpan.FromSeconds(20));
        Assert.True(ended.Status == 125 && ended.ErrorText.Contains("more than 0 descriptors", StringComparison.Ordinal), ended.ToString());
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(5), ended.ToString());
        Assert.Equal(0, World.Start([World.Sandbox, "rm", id], folder).Status);
    }

    [Fact]
    public void Processes_that_it_leaves_end_with_it() => Assert.Equal(0, Run("leave-processes", []).Status);

    /// <summary>Nothing of it is kept in memory: standard error is the caller's own descriptor.</summary>
    [Fact]
    public void It_may_write_without_end()
    {
        Outcome outcome = Run("write-without-end", ["--timeout", "15s"]);
        Assert.Equal(0, outcome.Status);
    }

    /// <summary>
    /// Only its filters keep a VMM from turning its death signal off: one without them, hostile before its guest started,
    /// lives on when its supervisor is killed. Any other ends: see KillTests.
    /// </summary>
    [Fact]
    public void Without_its_death_signal_it_outlives_a_killed_supervisor()
    {
        World.Need();
        string folder = World.Current.NewFolder();
        var vmm = new HostileVmm($"scenario=outlive\nmark={Mark(folder)}\n");
        Outcome outcome = World.Start(vmm.Command([]), folder, TimeSpan.FromSeconds(20), supervisor =>
        {
            Assert.True(SpinWait.SpinUntil(() => Marked(folder).Length == 1, 15_000), "no VMM");
            supervisor.Kill();
        });
        ProcessRow left = Assert.Single(Marked(folder));
        kill(left.Pid, SIGKILL);
        Assert.True(SpinWait.SpinUntil(() => Marked(folder).All(row => row.State is 'Z' or 'X'), 5_000), "it cannot be killed");
        Assert.Equal(128 + SIGKILL, outcome.Status);
    }
}
