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

    /// <summary>What a guest's driver can reach is reached, but for a few lines; fuzz/README.md says which.</summary>
    [Theory]
    [InlineData("src/Vmm/Virtio")]
    [InlineData("src/Vmm/Devices")]
    public void TheCorporaReachTheDevices(string folder)
    {
        string[] targets = ["virtqueue", "virtio", "virtio-devices", "serial"];
        int status = Tool.Run(out string output, ["--coverage", folder, .. targets, "--least", "90"]);
        Assert.True(status == 0, output);
        Assert.Contains($"  {folder}\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public void TooFewLinesFail()
    {
        Assert.Equal(3, Tool.Run(out string output, "--coverage", "src/Vmm/Virtio", "serial", "--least", "50"));
        Assert.Contains("SplitQueue.Unsafe.cs: not ", output, StringComparison.Ordinal);
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
