using System.Text.Json.Nodes;
using Sandbox.Supervisor.LifeCycle;
using Xunit;

namespace Sandbox.Supervisor.Tests.LifeCycle;

public class PsToolTests
{
    static readonly SandboxId s_id = new(0x0123456789ab);

    [Fact]
    public void TheTableSaysWhatRuns()
    {
        ListedSandbox[] shown =
        [
            new(s_id, true, Records.Simple(s_id)),
            new(s_id, false, Records.Full(s_id)),
            new(s_id, false, Records.Simple(s_id)),
            new(s_id, true, null),
        ];
        string[] lines = PsTool.Table(shown, Records.Simple(s_id).StartedAt + 61_000).Split('\n');
        Assert.Equal("ID            NAME       STATE       AGE  PID  COMMAND", lines[0]);
        Assert.Equal("0123456789ab  -          running     1m   100  true", lines[1]);
        Assert.StartsWith("0123456789ab  web-1_a.b  exited 137  1m   -    sh -c  a\\x0ab\\c\\x00\\x1b[31m", lines[2], StringComparison.Ordinal);
        Assert.Equal("0123456789ab  -          lost        1m   -    true", lines[3]);
        Assert.Equal("0123456789ab  -          starting    -    -    -", lines[4]);
        Assert.All(lines, line => Assert.DoesNotContain(line, char.IsControl));
    }

    [Fact]
    public void JsonHoldsTheSame()
    {
        JsonArray all = JsonNode.Parse(PsTool.Json([new(s_id, false, Records.Full(s_id)), new(s_id, true, null)]))!.AsArray();
        Assert.Equal("exited", (string?)all[0]!["state"]);
        Assert.Equal(137, (int)all[0]!["exitStatus"]!);
        Assert.Equal("2025-11-24T16:00:00.123Z", (string?)all[0]!["started"]);
        Assert.Null(all[0]!["vmmPid"]);
        Assert.Equal("starting", (string?)all[1]!["state"]);
    }

    [Theory]
    [InlineData(-5, "0s")]
    [InlineData(59_999, "59s")]
    [InlineData(60_000, "1m")]
    [InlineData(3_600_000, "1h")]
    [InlineData(86_400_000, "1d")]
    public void AgesAreShort(long milliseconds, string text) => Assert.Equal(text, PsTool.Age(milliseconds));
}
