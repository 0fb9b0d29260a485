using System.Diagnostics;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>SIGKILL for the supervisor or the VMM at any moment of a run: nothing is left of it.</summary>
public sealed class KillTests
{
    static readonly string[] s_command = [World.Sandbox, "run", "--", "sh", "-c", "sleep 0.02; echo done"];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Killed_at_any_moment_nothing_is_left(bool vmm)
    {
        World.Need();
        string folder = World.Current.NewFolder();
        TimeSpan usual = Enumerable.Range(0, 5).Select(_ => World.Start(s_command, folder).Wall).Order().ElementAt(2);
        int seed = Environment.TickCount, early = 0, late = 0;
        var random = new Random(seed);
        for (int round = 0; round < Scale.Of(150, 20); round++)
        {
            TimeSpan moment = usual * random.NextDouble() * 1.2;
            bool hit = false;
            Outcome outcome = World.Start(s_command, folder, null, child => hit = Kill(child, vmm, moment));
            string what = $"seed {seed}, round {round}, killed after {moment.TotalMilliseconds:F1} ms\n{outcome}";
            Assert.False(outcome.TimedOut, what);
            Assert.True(outcome.Left.Count == 0, $"left: {string.Join(", ", outcome.Left)}; {what}");
            Assert.Empty(Directory.GetFileSystemEntries(folder));
            if (outcome.Status == 0)
                late++;
            else
                Assert.True(hit && outcome.Status == (vmm ? 125 : 128 + SIGKILL), what);
            if (outcome.Status != 0 && outcome.Output.Length == 0)
                early++;
        }

        Assert.True(early > 0, $"seed {seed}: no kill came before the guest's end ({late} came too late)");
        World.AssertNoMounts();
    }

    /// <returns>False when there was no process to kill at that moment.</returns>
    static bool Kill(ChildProcess supervisor, bool vmm, TimeSpan moment)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < moment)
            Thread.Yield();
        if (!vmm)
        {
            supervisor.Kill();
            return true;
        }

        return Children.First(supervisor.Pid) is int pid && kill(pid, SIGKILL) == 0;
    }
}
