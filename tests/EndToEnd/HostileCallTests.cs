using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>
/// A guest that attacks through its system calls: the VMM answers every one of them, and is still there afterwards.
/// </summary>
public sealed class HostileCallTests
{
    [Theory]
    [InlineData("pointers")]
    [InlineData("sizes")]
    [InlineData("races")]
    public void Every_call_is_answered(string attack)
    {
        Tool.NeedGuestPrograms();
        string folder = Case.NewFolder("hostile");
        string inside = Directory.CreateDirectory(Path.Combine(folder, "m")).FullName;
        File.WriteAllText(Path.Combine(inside, "inside"), "inside\n");
        File.WriteAllText(Path.Combine(folder, "secret"), "CANARY\n");
        File.CreateSymbolicLink(Path.Combine(inside, "link"), folder);
        Outcome outcome = SandboxRun.Run(
            ["--mount", $"{inside}:/m", "--mount", $"{Ring.GuestPrograms}:/guests"],
            ["/guests/hostilecalls", attack]).Ended(0);
        Assert.Contains("ok ", outcome.Text);
        Assert.DoesNotContain("FAILED", outcome.Text);
        Assert.Equal("", outcome.ErrorText);
    }
}
