using System.Globalization;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;
using VmmProcess = Sandbox.Supervisor.Launch.VmmProcess;

namespace Sandbox.Escape;

/// <summary>The launch path alone, many times in one process.</summary>
[Collection(nameof(Alone))]
public sealed class SupervisorTests
{
    /// <summary>Launches before anything is counted: what is compiled, and pools that grow once.</summary>
    const int First = 50;

    /// <summary>
    /// Of private memory, for all launches together, by which the runtime's own grows, and for each: its list of system
    /// calls alone is more.
    /// </summary>
    const long Slack = 4 << 20, OfEach = 16 << 10;

    /// <summary>With VMMs that break its rules.</summary>
    [Fact]
    public void A_supervisor_keeps_nothing_of_hostile_VMMs()
    {
        World.Need();
        string program = new HostileVmm("scenario=pass-descriptors\n").Vmm;
        using FileDescriptor kvm = FileDescriptor.Open("/dev/kvm", O_RDWR);
        void Launch(int times)
        {
            for (int i = 0; i < times; i++)
            {
                using VmmProcess vmm = VmmProcess.Start(program, kvm);
                vmm.Confirm();
                Assert.Throws<HostException>(() => vmm.Channel.Receive(out ChannelMessage _));
            }

            GC.Collect();
            GC.WaitForPendingFinalizers();
            GC.Collect();
        }

        int[] before = [.. ProcessTable.Tree(getpid()).Select(row => row.Pid)];
        Launch(First);
        string[] held = Held();
        long code = CodeBytes(), memory = PrivateBytes();
        int rounds = Scale.Of(1000, 200);
        Launch(rounds);
        Assert.Equal(held, Held());
        Assert.True(CodeBytes() - code < rounds * 1024L, $"{CodeBytes() - code} bytes of code more after {rounds} launches");
        long more = PrivateBytes() - memory;
        TestContext.Current.TestOutputHelper?.WriteLine($"{more} bytes of private memory more after {rounds} launches");
        Assert.True(more < Slack + (rounds * OfEach), $"{more} bytes of private memory more after {rounds} launches");
        // What earlier tests have left dead has become this process's.
        Assert.DoesNotContain(ProcessTable.Tree(getpid()), row => row.State is not ('Z' or 'X') || !before.Contains(row.Pid));
        Assert.Empty(ControlGroups.MadeBy(getpid()));
    }

    /// <summary>
    /// What each descriptor is; of sockets and pipes the kind, since their numbers are never the same. The runtime's libraries
    /// are opened when they are first needed, whenever that is.
    /// </summary>
    static string[] Held() => [.. Directory.GetFiles("/proc/self/fd").Select(file => new FileInfo(file).LinkTarget ?? "gone")
        .Where(target => target != "gone" && !target.StartsWith("/proc/", StringComparison.Ordinal)
            && !target.EndsWith(".dll", StringComparison.Ordinal))
        .Select(target => target.StartsWith("socket:", StringComparison.Ordinal) || target.StartsWith("pipe:", StringComparison.Ordinal)
            ? target.Split(':')[0] : target)
        .Order(StringComparer.Ordinal)];

    /// <summary>Each launch has a page of machine code in memory of no file, where the runtime's own is in files.</summary>
    static long CodeBytes() => File.ReadLines("/proc/self/maps").Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .Where(fields => fields is [_, "r-xp", _, "00:00", "0"]).Select(fields => fields[0].Split('-'))
        .Sum(range => Convert.ToInt64(range[1], 16) - Convert.ToInt64(range[0], 16));

    static long PrivateBytes() => File.ReadLines("/proc/self/smaps_rollup")
        .Where(line => line.StartsWith("Private_", StringComparison.Ordinal))
        .Sum(line => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10);
}
