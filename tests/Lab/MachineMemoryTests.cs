using System.Globalization;
using System.Text.RegularExpressions;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Machine guests whose memory ends at, and goes on behind, the hole below 4 GiB.</summary>
public sealed partial class MachineMemoryTests
{
    static readonly Lazy<LabHost> s_host = new(() => new LabHost(new LabHostOptions { Name = "memory", Memory = 7168 }));

    /// <param name="mebibytes">Of the guest.</param>
    /// <param name="high">In MiB, what is behind 4 GiB.</param>
    [Theory]
    [InlineData(3072, 0)]
    [InlineData(3584, 512)]
    [InlineData(4096, 1024)]
    public void Memory_is_where_the_map_says_and_all_of_it_serves(int mebibytes, int high)
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "boots a host of its own: ./test --lab-all");
        string program = Laboratory.Compiled("memory");
        // Linux gives the highest memory first.
        Outcome outcome = s_host.Value.Run(
            [
                Laboratory.SandboxInLab, "run", "--kernel", MachineTests.PackagedKernel,
                "--root", MachineRoot.With($"memory-{mebibytes}", program), "--memory", $"{mebibytes}M",
                "--append", MachineProcessorTests.Patient, "--", "sh", "-c",
                $"""
                grep 'System RAM' /proc/iomem
                grep MemTotal /proc/meminfo
                {program} {high + 256}
                {MachineProcessorTests.Complaints}
                exit 5
                """,
            ],
            limit: TimeSpan.FromSeconds(280));
        Assert.True(outcome.Status == 5, outcome.ToString());
        (ulong First, ulong Last)[] ranges =
            [.. Range().Matches(outcome.Text).Select(range => (Number(range, 1), Number(range, 2)))];
        Assert.Equal((1UL << 20, ((ulong)Math.Min(mebibytes, 3072) << 20) - 1), ranges[1]);
        Assert.Equal(high > 0 ? [(4UL << 30, (4UL << 30) + ((ulong)high << 20) - 1)] : [], ranges[2..]);
        long total = long.Parse(Total().Match(outcome.Text).Groups[1].Value, CultureInfo.InvariantCulture) >> 10;
        // Less its kernel and what it keeps of each page.
        Assert.InRange(total, mebibytes - 200, mebibytes);
        Assert.EndsWith($"\n{high + 256} MiB kept\n", outcome.Text, StringComparison.Ordinal);
    }

    static ulong Number(Match match, int group) =>
        ulong.Parse(match.Groups[group].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    [GeneratedRegex("^([0-9a-f]+)-([0-9a-f]+) : System RAM", RegexOptions.Multiline)]
    private static partial Regex Range();

    [GeneratedRegex("MemTotal: *([0-9]+) kB")]
    private static partial Regex Total();
}
