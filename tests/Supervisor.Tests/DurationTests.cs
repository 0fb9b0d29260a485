using Sandbox.Supervisor.CommandLine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class DurationTests
{
    [Theory]
    [InlineData("500ms", 500)]
    [InlineData("10s", 10_000)]
    [InlineData("10", 10_000)]
    [InlineData("2m", 120_000)]
    [InlineData("2min", 120_000)]
    [InlineData("1h", 3_600_000)]
    [InlineData("1d", 86_400_000)]
    [InlineData("365d", 31_536_000_000)]
    [InlineData("none", 0)]
    public void Reads(string text, long milliseconds) =>
        Assert.Equal(milliseconds, Duration.ParseMilliseconds("--timeout", text));

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("-1s")]
    [InlineData("1.5s")]
    [InlineData("10 s")]
    [InlineData("10S")]
    [InlineData("1m30s")]
    [InlineData("None")]
    [InlineData("infinity")]
    public void RefusesWhatIsNoDuration(string text) =>
        OneLine.Refuses("is not a duration", () => Duration.ParseMilliseconds("--timeout", text));

    [Theory]
    [InlineData("366d")]
    [InlineData("9223372036854775807s")]
    [InlineData("99999999999999999999ms")]
    public void RefusesWhatIsTooLong(string text) =>
        OneLine.Refuses("is too long", () => Duration.ParseMilliseconds("--timeout", text));

    [Theory]
    [InlineData("0")]
    [InlineData("0ms")]
    public void RefusesZero(string text) =>
        OneLine.Refuses("write none for no limit", () => Duration.ParseMilliseconds("--timeout", text));

    [Theory]
    [InlineData(1500, "1500 ms")]
    [InlineData(10_000, "10 s")]
    [InlineData(90_000, "90 s")]
    [InlineData(120_000, "2 min")]
    [InlineData(7_200_000, "2 h")]
    public void Writes(long milliseconds, string text) => Assert.Equal(text, Duration.Format(milliseconds));
}
