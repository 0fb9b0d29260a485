using System.Text;
using Sandbox.Fuzz.Engine;
using Xunit;

namespace Sandbox.Fuzz.Tests;

public sealed class EngineTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("fuzz-tests").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void ACampaignFindsEveryKindOfFailureAndTellsThemApart()
    {
        Directory.CreateDirectory(Path.Combine(_directory, "seeds"));
        File.WriteAllText(Path.Combine(_directory, "seeds", "a"), "#!/bin/sh\n");
        // The committed corpus of this target holds nothing: only the seed above.
        CampaignPaths paths = new(
            Path.Combine(_directory, "fuzz", "corpus", "self-test"),
            Path.Combine(_directory, "fuzz", "findings", "self-test", "queue"),
            Path.Combine(_directory, "fuzz", "findings", "self-test", "sites"));
        Campaign campaign = new(
            TargetList.Create("self-test")!,
            new CampaignOptions
            {
                Root = _directory, Duration = TimeSpan.FromSeconds(180), Jobs = 1, Timeout = TimeSpan.FromSeconds(4),
                StopAtSites = 5,
            },
            paths);
        Assert.Equal(WorkerExit.Finding, campaign.Run());
        string[] kinds = [.. new Findings(paths.Findings).Sites.Select(s => s[..s.LastIndexOf('-')]).Order(StringComparer.Ordinal)];
        Assert.Equal(["FormatException", "OracleException", "allocation", "died134", "hang"], kinds);
        foreach (string site in new Findings(paths.Findings).Sites)
        {
            string text = File.ReadAllText(Path.Combine(paths.Findings, site, "input"), Encoding.Latin1);
            string expected = site.Split('-')[0] switch
            {
                "FormatException" => "THROW",
                "OracleException" => "ORACLE",
                "allocation" => "ALLOCATE",
                "died134" => "RECURSE",
                _ => "HANG",
            };
            Assert.Contains(expected, text);
        }
    }

    [Theory]
    [InlineData("xxTHROWyyyyyyyyyyyyyyyyyyyyyyyyyy", "THROW")]
    [InlineData("ORACLE-and-a-long-tail-of-nothing-in-particular", "ORACLE")]
    [InlineData("some words before RECURSE", "RECURSE")]
    public void MinimizingKeepsWhatMatters(string input, string expected)
    {
        string path = Path.Combine(_directory, "input");
        File.WriteAllText(path, input);
        Assert.Equal(0, Tool.Run(out string output, "self-test", "--minimize", path));
        Assert.True(File.Exists(path + ".min"), output);
        Assert.Equal(expected, File.ReadAllText(path + ".min"));
    }

    [Fact]
    public void ReplayingAFileTellsGoodFromBad()
    {
        string path = Path.Combine(_directory, "input");
        File.WriteAllText(path, "#!/bin/sh\n");
        Assert.Equal(0, Tool.Run(out string output, "self-test", path));
        Assert.Contains("nothing wrong", output);
        File.WriteAllText(path, "THROW");
        Assert.Equal(WorkerExit.Finding, Tool.Run(out output, "self-test", path));
        Assert.Contains("FormatException-", output);
        Assert.Contains("SelfTestTarget.ThrowSomething", output);
    }

    [Theory]
    [InlineData(0)]
    [InlineData("no-such-target")]
    [InlineData("elf", "--time")]
    [InlineData("elf", "--time", "soon")]
    [InlineData("elf", "--jobs", "0")]
    [InlineData("elf", "--frobnicate", "1")]
    public void BadCommandLinesSaySo(params object[] arguments)
    {
        string[] words = [.. arguments.OfType<string>()];
        Assert.Equal(WorkerExit.Usage, Tool.Run(out string output, words));
        Assert.NotEmpty(output);
    }

    [Fact]
    public void ACorpusThatNoLongerDecodesFails()
    {
        string seeds = Path.Combine(_directory, "fuzz", "corpus", "self-test");
        CampaignPaths paths = CampaignPaths.For(_directory, "self-test");
        FuzzTarget target = TargetList.Create("self-test")!;
        Assert.Equal(WorkerExit.Finding, Replay.Corpus(target, paths, CoverageMap.Installed));
        Directory.CreateDirectory(seeds);
        File.WriteAllText(Path.Combine(seeds, "seed-script"), "not a script");
        Assert.NotEqual(0, Replay.Corpus(target, paths, CoverageMap.Installed));
        // Right, but this process runs the assemblies as they are: no coverage is a failure of its own.
        File.WriteAllText(Path.Combine(seeds, "seed-script"), "#!/bin/sh\n");
        Assert.Equal(WorkerExit.NoCoverage, Replay.Corpus(target, paths, CoverageMap.Installed));
    }

    [Fact]
    public void MutationStaysInBoundsAndDependsOnTheSeedAlone()
    {
        byte[] a = Encoding.ASCII.GetBytes("an input of some length"), b = Encoding.ASCII.GetBytes("another");
        List<string> run(ulong seed)
        {
            Mutator mutator = new(new FuzzRandom(seed), [[1, 2, 3]], 64);
            List<string> outputs = [];
            for (int i = 0; i < 20_000; i++)
            {
                ReadOnlySpan<byte> output = mutator.Mutate(i % 3 == 0 ? [] : a, b);
                Assert.InRange(output.Length, 0, 64);
                if (i < 200)
                    outputs.Add(Convert.ToHexString(output));
            }
            return outputs;
        }
        Assert.Equal(run(1), run(1));
        Assert.NotEqual(run(1), run(2));
        Assert.True(run(3).Distinct().Count() > 150);
    }

    [Fact]
    public void MutationMostlyKeepsRecordsWhole()
    {
        const int length = 8;
        byte[] records = [.. Enumerable.Range(0, 8 * length).Select(i => (byte)(i / length))];
        Mutator mutator = new(new FuzzRandom(5), [], 256, length);
        int whole = 0;
        const int rounds = 5000;
        for (int i = 0; i < rounds; i++)
            if (mutator.Mutate(records, records).Length % length == 0)
                whole++;
        Assert.InRange(whole, rounds / 2, rounds - 1);
    }

    [Fact]
    public void MinimizingTakesAwayWholeRecords()
    {
        // Fails with the fourth record, and as long as every record is whole.
        byte[] input = [.. Enumerable.Range(0, 11 * 8).Select(i => (byte)(i / 8))];
        byte[] result = Minimizer.Minimize(input, candidate => candidate.Length % 8 == 0
            && Enumerable.Range(0, candidate.Length / 8).Any(i => candidate[i * 8] == 3));
        Assert.Equal(8, result.Length);
        Assert.Equal(3, result[0]);
    }

    [Fact]
    public void ACopyInUseIsNotDeleted()
    {
        // The engine tests run beside the corpora: this program's own copy is being used.
        string program = Instrumentation.Prepare();
        using (Instrumentation.Hold(program))
        using (Instrumentation.Hold(program))
            Assert.False(Instrumentation.TryDelete(Path.GetDirectoryName(program)!));
        Assert.True(File.Exists(program));
    }

    [Fact]
    public void SitesComeFromFramesNotMessages()
    {
        static CrashSite site(string input)
        {
            try
            {
                TargetList.Create("self-test")!.Run(Encoding.ASCII.GetBytes(input));
            }
            catch (Exception e)
            {
                return CrashSite.Of(e);
            }
            throw new InvalidOperationException("nothing was thrown");
        }
        CrashSite first = site("THROW 1");
        CrashSite second = site("a second THROW");
        CrashSite other = site("ORACLE");
        Assert.Equal(first.Id, second.Id);
        Assert.NotEqual(first.Id, other.Id);
    }
}
