using Sandbox.Supervisor.Jail.Facts;
using Xunit;

namespace Sandbox.Supervisor.Tests.Jail.Facts;

/// <summary>Texts that no kernel writes are not understood, and nothing else.</summary>
public class ProcTextTests
{
    [Theory]
    [InlineData("")]
    [InlineData("Uid:\t1")]
    [InlineData("\0\0\0")]
    [InlineData("Name:\tx\nName:\ty\n")]
    public void NoStatus(string text) => Assert.Null(ProcText.Status(text));

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("1 (a")]
    [InlineData("1 )a( S 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 0 0 0 0 9 0")]
    [InlineData("1 (a) S 1 1 1 0 -1 4")]
    [InlineData("1 (a) S 1 1 99999999999 0 -1 4 0 0 0 0 0 0 0 0 0 0 0 0 9 0")]
    [InlineData("1 (a) S 1 1 1 0 -1 -4 0 0 0 0 0 0 0 0 0 0 0 0 9 0")]
    public void NoStat(string text) => Assert.Null(ProcText.Stat(text));

    /// <summary>A process names itself.</summary>
    [Fact]
    public void ANameMayHoldAnything()
    {
        ProcessStat? stat = ProcText.Stat("7 (x) S 1 1 0 0 0 0) R 1 2 3 0 -1 16384 0 0 0 0 0 0 0 0 0 0 0 0 99 0\n");
        Assert.Equal(new ProcessStat("x) S 1 1 0 0 0 0", 1, 3, 16384, 99), stat);
    }

    [Theory]
    [InlineData("")]
    [InlineData("Limit Soft Hard\n")]
    [InlineData("Limit\nMax core file size        0\n")]
    [InlineData("Limit\nMax core file size        zero                 0 bytes\n")]
    [InlineData("Limit\nMax core file size        -1                   0 bytes\n")]
    [InlineData("Limit\nMax core file size        0                    0 bytes\nMax core file size        0                    0 bytes\n")]
    public void NoLimits(string text) => Assert.Null(ProcText.Limits(text));

    [Theory]
    [InlineData("1 2 3")]
    [InlineData("1 2 0:3 / / ro shared:1 tmpfs tmpfs ro")]
    [InlineData("1 2 0:3 / / ro -")]
    public void NoMounts(string text) => Assert.Null(ProcText.Mounts(text));

    [Fact]
    public void OptionalFieldsArePassedOver() => Assert.Equal([new MountFacts("/", "/a\\040b", "ro", "ext4")],
        ProcText.Mounts("1 2 0:3 / /a\\040b ro shared:1 master:2 - ext4 /dev/sda ro\n")!);

    [Theory]
    [InlineData("0 0")]
    [InlineData("0 0 -1")]
    [InlineData("0 0 4294967296")]
    [InlineData("a b c")]
    public void NoMap(string text) => Assert.Null(ProcText.IdMap(text));

    [Theory]
    [InlineData("")]
    [InlineData("pos:\t0\n")]
    [InlineData("flags:\t9\n")]
    [InlineData("flags:\t77777777777777777777\n")]
    [InlineData("flags:\t0\nmnt_id:\tx\n")]
    [InlineData("flags:\t0\nino:\t-1\n")]
    public void NoDescriptor(string text) => Assert.Null(ProcText.DescriptorInfo(text));

    /// <summary>Lines that a kind of file adds come after the kernel's own.</summary>
    [Fact]
    public void TheFirstLinesCount() =>
        Assert.Equal((2, 24L, 3UL), ProcText.DescriptorInfo("pos:\t0\nflags:\t02\nmnt_id:\t24\nino:\t3\nflags:\t07\nino:\t9\n"));

    [Theory]
    [InlineData("net:[4026531840]", true)]
    [InlineData("n\0t:[1]", false)]
    [InlineData(":[1]", false)]
    [InlineData("net:[]", false)]
    [InlineData("net:[1", false)]
    [InlineData("net:[1x]", false)]
    public void ANamespaceIsAKindAndANumber(string link, bool isOne) => Assert.Equal(isOne, Namespaces.IsIdentity(link));

    [Theory]
    [InlineData("a\nb\nlo 1")]
    [InlineData("a\nb\n: 1")]
    public void NoInterfaces(string text) => Assert.Null(ProcText.Interfaces(text));
}
