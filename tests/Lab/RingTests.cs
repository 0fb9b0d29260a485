using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>
/// The end-to-end ring and the escape ring, with their own programs, on hardware KVM: a class of theirs is a test here.
/// </summary>
/// <remarks>
/// Not those that are about this machine: its network, its disks, how a build goes on; nor what takes longer in a lab
/// host than anybody waits.
/// </remarks>
public sealed class RingTests
{
    const string EndToEnd = "EndToEnd", Escape = "Escape";

    /// <summary>What depends on how a guest is left and entered.</summary>
    static readonly string[] s_classes = [$"{EndToEnd}.HostileCallTests"];

    static readonly string[] s_all =
    [
        .. new[]
        {
            "AuditTests", "BackgroundTests", "BusyboxTests", "DiskRateTests", "ExitStatusTests", "FlagTests", "HarnessTests",
            "IsolationTests", "JailTests", "LearnTests", "LimitTests", "Network.NetworkTests", "Network.TapTests",
            "PolicyTests", "QuotaTests", "StreamTests", "TerminalTests",
        }.Select(name => $"{EndToEnd}.{name}"),
        .. new[] { "BusyTests", "ChannelTests", "FactsTests", "KillTests", "RowTests", "SupervisorTests", "TerminalTests" }
            .Select(name => $"{Escape}.{name}"),
    ];

    public static TheoryData<string> Classes => [.. s_classes, .. Laboratory.All ? s_all : []];

    [Theory]
    [MemberData(nameof(Classes))]
    public void What_holds_here_holds_on_hardware_KVM(string name)
    {
        string ring = name.Split('.')[0];
        string program = $"tests/{ring}/bin/Debug/net10.0/linux-x64/Sandbox.{ring}";
        LabHost host = Laboratory.RingHost;
        Assert.True(File.Exists(Path.Combine(Laboratory.Root, program)), $"{program} has not been built");
        // 9p cannot be mounted with users mapped: the guest programs are copied to where folders can.
        Outcome outcome = host.Run(
            [
                "sh", "-c", """
                    set -e
                    [ -d /tmp/guests ] || { cp -r "$1" /tmp/guests.new && mv /tmp/guests.new /tmp/guests; }
                    # The one that is skipped unless all that ring is asked for.
                    case $3 in *.RowTests) export SANDBOX_ESCAPE_ALL=1 ;; esac
                    SANDBOX_E2E_GUESTS=/tmp/guests exec "$2" -noColor -noLogo -maxThreads 1 -class "$3"
                    """,
                "-", Laboratory.GuestsInLab, $"{LabHost.Repository}/{program}", $"Sandbox.{name}",
            ],
            limit: TimeSpan.FromSeconds(Laboratory.All ? 1500 : 170));
        Assert.True(outcome.Status == 0 && outcome.Text.Contains("Failed: 0, Skipped: 0,"), outcome.ToString());
        Assert.DoesNotContain("Total: 0,", outcome.Text);
    }
}
