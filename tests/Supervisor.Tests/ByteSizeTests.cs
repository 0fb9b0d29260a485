using Sandbox.Supervisor.CommandLine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("4096", 4096)]
    [InlineData("1b", 1)]
    [InlineData("64k", 65536)]
    [InlineData("64K", 65536)]
    [InlineData("512M", 512L << 20)]
    [InlineData("512MiB", 512L << 20)]
    [InlineData("2GiB", 2L << 30)]
    [InlineData("2gib", 2L << 30)]
    [InlineData("1T", 1L << 40)]
    [InlineData("128T", 1L << 47)]
    [InlineData("007", 7)]
    public void Reads(string text, long bytes) => Assert.Equal((ulong)bytes, ByteSize.Parse("--memory", text));

    [Theory]
    [InlineData("")]
    [InlineData(" 1")]
    [InlineData("1 ")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("1.5G")]
    [InlineData("1,000")]
    [InlineData("G")]
    [InlineData("5X")]
    [InlineData("5MB")]
    [InlineData("5MiBB")]
    [InlineData("0x10")]
    [InlineData("1e9")]
    [InlineData("١")]
    [InlineData("1\n")]
    public void RefusesWhatIsNoSize(string text) => OneLine.Refuses("is not a size", () => ByteSize.Parse("--memory", text));

    [Theory]
    [InlineData("129T")]
    [InlineData("18446744073709551616")]
    [InlineData("18446744073709551615")]
    [InlineData("99999999999999999999999999999G")]
    [InlineData("16777216T")]
    public void RefusesWhatIsTooLarge(string text) => OneLine.Refuses("is too large", () => ByteSize.Parse("--memory", text));

    [Theory]
    [InlineData(0, "0 bytes")]
    [InlineData(1000, "1000 bytes")]
    [InlineData(1024, "1 KiB")]
    [InlineData(1536, "1536 bytes")]
    [InlineData(512 << 20, "512 MiB")]
    [InlineData(1L << 47, "128 TiB")]
    public void Writes(long bytes, string text) => Assert.Equal(text, ByteSize.Format((ulong)bytes));
}
