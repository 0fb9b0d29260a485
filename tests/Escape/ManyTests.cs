using System.Globalization;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;
using VmmProcess = Sandbox.Supervisor.Launch.VmmProcess;

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
        var times = new double[Scale.Of(200, 24)];
        Parallel.For(0, times.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i => times[i] = RunOne(folder));
        Report("8 callers at once", times);
        AssertNothingLeft(folder);
    }

    [Fact]
    public void One_after_the_other()
    {
        World.Need();
        string folder = World.Current.NewFolder();
        long keys = Keys();
        double[] times = [.. Enumerable.Range(0, Scale.Of(2000, 200)).Select(_ => RunOne(folder))];
        Report("one after the other", times);
        AssertNothingLeft(folder);
        // The kernel frees what is left of the last ones in its own time, and tests beside this one have some; a leak would
        // be one for each sandbox.
        long most = keys + (times.Length / 4);
        Assert.True(SpinWait.SpinUntil(() => Keys() <= most, 60_000), $"{Keys()} keys of this user instead of {keys}");
    }

    static double RunOne(string folder)
    {
        Outcome outcome = World.Start(s_command, folder);
        Assert.True(outcome is { Status: 0, TimedOut: false, Left.Count: 0, Error.Length: 0 },
            $"left: {string.Join(", ", outcome.Left)}\n{outcome}");
        return outcome.Wall.TotalMilliseconds;
    }

    static void AssertNothingLeft(string folder)
    {
        Assert.Empty(Directory.GetFileSystemEntries(folder));
        World.AssertNoMounts();
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

    /// <summary>The launch path alone, many times in one process, with VMMs that break its rules.</summary>
    [Fact]
    public void A_supervisor_keeps_nothing_of_hostile_VMMs()
    {
        World.Need();
        string program = new HostileVmm("scenario=pass-descriptors\n").Vmm;
        using FileDescriptor kvm = FileDescriptor.Open("/dev/kvm", O_RDWR);
        void Once()
        {
            using VmmProcess vmm = VmmProcess.Start(program, kvm);
            vmm.Confirm();
            Assert.Throws<HostException>(() => vmm.Channel.Receive(out ChannelMessage _));
        }

        // Other tests of this process come and go with sockets and pipes.
        static int Held() => Directory.GetFiles("/proc/self/fd").Select(file => new FileInfo(file).LinkTarget ?? "")
            .Count(target => target is "/dev/kvm" or "anon_inode:[pidfd]" || target.StartsWith("pidfd", StringComparison.Ordinal));
        // Each launch has a page of machine code in memory of no file, where the runtime's own is in files.
        static long CodeBytes() => File.ReadLines("/proc/self/maps").Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(fields => fields is [_, "r-xp", _, "00:00", "0"]).Select(fields => fields[0].Split('-'))
            .Sum(range => Convert.ToInt64(range[1], 16) - Convert.ToInt64(range[0], 16));
        Once();
        int held = Held(), rounds = Scale.Of(1000, 100);
        long code = CodeBytes();
        for (int i = 0; i < rounds; i++)
            Once();
        Assert.Equal(held, Held());
        Assert.True(CodeBytes() - code < rounds * 1024L, $"{CodeBytes() - code} bytes of code more after {rounds} launches");
    }
}
