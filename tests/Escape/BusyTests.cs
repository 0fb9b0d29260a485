using System.Globalization;
using System.Text.RegularExpressions;

namespace Sandbox.Escape;

/// <summary>
/// A VMM whose guest keeps all of its threads and its collector at work, behind its own filters: what the runtime does
/// now and then only, it does here, and a call that no row allows would be its end.
/// </summary>
public sealed partial class BusyTests
{
    [Fact]
    public void A_busy_VMM_makes_no_call_that_its_filters_stop()
    {
        World.Need();
        string folder = World.Current.NewFolder(), work = World.Current.NewFolder();
        int seconds = Scale.Of(60, 5);
        Outcome outcome = World.Start(
            [
                World.Sandbox, "run", "--cpus", $"{Math.Min(2, Environment.ProcessorCount)}", "--memory", "512m",
                "--mount", $"{work}:/work:rw", "--mount", $"{World.Current.Programs}:/programs", "--",
                "/programs/busy", $"{seconds}", "/work",
            ],
            folder, TimeSpan.FromSeconds(seconds + 120));
        Assert.True(outcome is { Status: 0, TimedOut: false, ErrorText: "", Left.Count: 0 }, outcome.ToString());
        int[] done = [.. Number().Matches(outcome.Text).Select(number => int.Parse(number.Value, CultureInfo.InvariantCulture))];
        Assert.Equal(4, done.Length);
        Assert.All(done, one => Assert.True(one > 0, outcome.Text));
        Assert.Empty(Directory.GetFileSystemEntries(work));
        TestContext.Current.TestOutputHelper?.WriteLine(outcome.Text);
    }

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Number();
}
