using Sandbox.Fuzz.Engine;
using Xunit;

namespace Sandbox.Fuzz.Tests;

/// <summary>Everything that campaigns ever found, or that was written to start them, on every change.</summary>
public class CorpusTests
{
    public static TheoryData<string> Targets => [.. TargetList.Names.Where(n => n != "self-test")];

    [Theory]
    [MemberData(nameof(Targets))]
    public void TheCorpusRunsCleanAndCovers(string name)
    {
        Assert.Equal(0, Tool.Run(out string output, name, "--check"));
        Assert.Contains("0 bad", output);
    }

    [Theory]
    [MemberData(nameof(Targets))]
    public void TheHandMadeInputsAreCommitted(string name)
    {
        FuzzTarget target = TargetList.Create(name)!;
        CampaignPaths paths = CampaignPaths.For(Commands.FindRoot(), name);
        foreach ((string seed, byte[] input) in target.Seeds())
        {
            string path = Path.Combine(paths.Seeds, $"seed-{seed}");
            Assert.True(File.Exists(path), $"{path} is missing: fuzz/run {name} --seed-corpus");
            Assert.InRange(input.Length, 1, target.MaximumLength);
        }
    }
}
