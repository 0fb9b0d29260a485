using System.Globalization;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>Many sandboxes, at once and one after the other: each works, and nothing of them is left.</summary>
public sealed class ManyTests
{
    static readonly string[] s_command = [World.Sandbox, "run", "--", "/bin/true"];

    [Fact]
    public void Eight_callers_start_sandboxes_at_once()
    {
        World.Need();
        string folder = World.Current.NewFolder();
        var host = new HostState();
        var times = new double[Scale.Of(200, 24)];
        Parallel.For(0, times.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i => times[i] = RunOne(folder));
        Report("8 callers at once", times);
        AssertNothingLeft(folder, host);
    }

    [Fact]
    public void One_after_the_other()
    {
        World.Need();
        string folder = World.Current.NewFolder();
        var host = new HostState();
        long keys = Keys();
        double[] times = [.. Enumerable.Range(0, Scale.Of(2000, 200)).Select(_ => RunOne(folder))];
        Report("one after the other", times);
        AssertNothingLeft(folder, host);
        // The kernel frees what is left of the last ones in its own time, and tests beside this one have some; a leak would
        // be one for each sandbox.
        long most = keys + (times.Length / 4);
        Assert.True(SpinWait.SpinUntil(() => Keys() <= most, 60_000), $"{Keys()} keys of this user instead of {keys}");
    }

    /// <summary>Eight that live at the same time are eight users, none of whom is anybody else.</summary>
    [Fact]
    public void Eight_at_once_are_eight_users()
    {
        World.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can give a VMM a user of its own");
        string folder = World.Current.NewFolder();
        string[] users = new string[8];
        using Barrier all = new(users.Length);
        Thread[] callers = [.. Enumerable.Range(0, users.Length).Select(i => new Thread(() =>
            World.Start([World.Sandbox, "run", "--", "sleep", "60"], folder, null, child =>
            {
                SpinWait.SpinUntil(() => (users[i] = UserOf(child.Pid)).Length > 0, 20_000);
                all.SignalAndWait(30_000);
                child.Kill();
            })))];
        Array.ForEach(callers, caller => caller.Start());
        Array.ForEach(callers, caller => caller.Join());
        Assert.Equal(users.Length, users.Where(user => user.Length > 0).Distinct().Count());
    }

    /// <summary>The numbers of a supervisor's VMM: one, four times, beyond all accounts'. Empty before it has it.</summary>
    static string UserOf(int supervisor)
    {
        if (Children.First(supervisor) is not int vmm)
            return "";
        try
        {
            string[] fields = File.ReadLines($"/proc/{vmm}/status").First(line => line.StartsWith("Uid:", StringComparison.Ordinal))
                .Split('\t')[1..];
            return fields.Distinct().Count() == 1 && uint.Parse(fields[0], CultureInfo.InvariantCulture) >= 0x7000_0000 ? fields[0] : "";
        }
        catch (IOException)
        {
            return ""; // it has ended
        }
    }

    static double RunOne(string folder)
    {
        Outcome outcome = World.Start(s_command, folder);
        Assert.True(outcome is { Status: 0, TimedOut: false, Left.Count: 0, Error.Length: 0 },
            $"left: {string.Join(", ", outcome.Left)}\n{outcome}");
        return outcome.Wall.TotalMilliseconds;
    }

    static void AssertNothingLeft(string folder, HostState host)
    {
        Assert.Empty(Directory.GetFileSystemEntries(folder));
        host.AssertNothingMore();
        // Of tests beside this one, some have just ended.
        Assert.True(SpinWait.SpinUntil(() => ControlGroups.Abandoned().Length == 0, 30_000), string.Join('\n', ControlGroups.Abandoned()));
    }

    /// <summary>Keys and keyrings that count for this user, as the kernel tells: proc_keys(5).</summary>
    static long Keys()
    {
        foreach (string line in File.ReadLines("/proc/key-users"))
            if (line.Split(':', StringSplitOptions.TrimEntries) is [string user, string usage] && user == $"{geteuid()}")
                return long.Parse(usage.Split(' ')[0], CultureInfo.InvariantCulture);
        return 0;
    }

    /// <summary>Told, never asserted: times are the machine's.</summary>
    static void Report(string what, double[] milliseconds)
    {
        Array.Sort(milliseconds);
        double At(double part) => milliseconds[(int)(part * (milliseconds.Length - 1))];
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{milliseconds.Length} sandboxes, {what}: median {At(0.5):F1} ms, 90 % {At(0.9):F1}, 99 % {At(0.99):F1}, "
            + $"slowest {At(1):F1}");
    }
}
