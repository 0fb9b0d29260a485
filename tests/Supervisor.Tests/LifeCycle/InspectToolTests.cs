using System.Text.Json;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Metrics;
using Sandbox.Supervisor.Tests.Metrics;
using Xunit;

namespace Sandbox.Supervisor.Tests.LifeCycle;

/// <summary>What <c>sandbox inspect</c> prints of a machine guest's balloon.</summary>
public class InspectToolTests
{
    static readonly SandboxRecord s_record = Records.Simple(new SandboxId(0x0123456789ab));

    static readonly ListedSandbox s_listed = new(s_record.Id, true, s_record);

    static string Text(GuestRecord? counted) =>
        InspectTool.Text(s_listed, s_record, null, default, null, "", BalloonReport.Of(counted));

    static JsonElement Json(GuestRecord? counted) =>
        JsonDocument.Parse(InspectTool.Json(s_listed, s_record, null, default, null, BalloonReport.Of(counted))).RootElement;

    [Fact]
    public void ABalloonHasALineAndTheGuestsWordAnother()
    {
        GuestRecord record = GuestRecords.Ballooned();
        Assert.Contains("balloon:        32 MiB given back, 64 MiB wanted\n", Text(record), StringComparison.Ordinal);
        Assert.Contains("guest memory:   0 bytes swapped in, 0 bytes swapped out, 100 MiB free, 200 MiB total, 0 bytes available, 0 bytes caches, as it says\n",
            Text(record), StringComparison.Ordinal);
        Assert.Equal(104857600, Json(record).GetProperty("balloon").GetProperty("guest").GetProperty("freeBytes").GetInt32());
        record.Balloon.Reports = 0;
        Assert.DoesNotContain("guest memory", Text(record), StringComparison.Ordinal);
    }

    [Fact]
    public void AGuestWithoutOneHasNoLine()
    {
        foreach (GuestRecord? record in (GuestRecord?[])[null, GuestRecords.Machine(), GuestRecords.Process()])
        {
            Assert.DoesNotContain("balloon", Text(record), StringComparison.Ordinal);
            Assert.False(Json(record).TryGetProperty("balloon", out _));
        }
    }

    [Theory]
    [InlineData(95, "has no balloon")]
    [InlineData(34, "has less memory than '2G'")]
    [InlineData(16, "is paused")]
    [InlineData(11, "is unresponsive")]
    [InlineData(5, "was not told: ")]
    public void ABalloonThatCannotBeSetIsSaidInWords(int errno, string words) =>
        Assert.Contains(words, LifeCycleTool.BalloonProblem(errno, "2G"), StringComparison.Ordinal);
}
