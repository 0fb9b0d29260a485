using Sandbox.EndToEnd.Harness;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Network;

/// <summary>
/// TAP devices that a guest with a kernel cannot have, in a network namespace of the test's own. Attaching comes before
/// the kernel is looked at, so on every kind of KVM; what a guest does with one that it has, tests/Lab tells.
/// </summary>
public sealed class TapTests
{
    /// <summary>Holds a device as another guest would, until its input ends.</summary>
    const string Hold = """
        import fcntl, os, struct, sys
        tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", b"held", 0x0002 | 0x1000))
        print("held", flush=True)
        sys.stdin.read()
        """;

    [Fact]
    public void One_that_cannot_be_had_is_one_line_with_the_remedy()
    {
        SandboxRun.Need();
        Tool.Need("unshare", "ip", "python3", "setpriv");
        Assert.SkipUnless(geteuid() == 0 && File.Exists("/dev/net/tun"), "needs a user who may make network interfaces");
        string folder = Case.NewFolder("tap");
        File.WriteAllBytes(Path.Combine(folder, "kernel"), new byte[4096]);
        File.WriteAllText(Path.Combine(folder, "hold.py"), Hold);
        File.WriteAllText(Path.Combine(folder, "policy.yaml"),
            "version: 1\nextends: builtin:machine-default.yaml\ndevices: [{device: network, because: a test}]\n");
        Outcome outcome = Native.Run(["unshare", "--net", "--", "sh", "-c",
            $$"""
            run="{{Ring.Sandbox}} run --policy policy.yaml --kernel kernel --tap"
            attempt() { said=$("$@" 2>&1); echo "$1: $said $?"; }
            missing() { $run nothing; }
            down() { $run down; }
            other() { $run tun; }
            several() { $run several; }
            no_tap() { $run lo; }
            strange() { setpriv --bounding-set=-net_admin $run strange; }
            held() { $run held; }
            free() { $run held; }
            queues() { $run several,queues=2; }
            few() { $run held,queues=2; }
            ip link set lo up
            ip tuntap add dev down mode tap
            ip tuntap add dev tun mode tun; ip link set tun up
            ip tuntap add dev several mode tap multi_queue; ip link set several up
            ip tuntap add dev strange mode tap user 12345; ip link set strange up
            ip tuntap add dev held mode tap; ip link set held up
            for one in missing down other several no_tap strange; do attempt $one; done
            mkfifo said hold
            python3 hold.py <hold >said & exec 9>hold; read -r word <said
            attempt held
            exec 9>&-; wait
            for one in free queues few; do attempt $one; done
            ip -o link show | wc -l
            """], folder);
        string[] lines = outcome.Text.TrimEnd('\n').Split('\n');
        Assert.True(lines.Length == 11, outcome.ToString());
        Refused("missing", "there is no interface nothing; make it: ip tuntap add dev nothing mode tap");
        Refused("down", "down is down; bring it up: ip link set down up");
        Refused("other", "tun is no TAP device with one queue; make one: ip tuntap add");
        Refused("several", "several is no TAP device with one queue; make one: ip tuntap add");
        Refused("no_tap", "lo is no TAP device with one queue; make one: ip tuntap add");
        Refused("few", "held is no TAP device with several queues; make one: ip tuntap add dev held mode tap user \"$USER\" multi_queue");
        Refused("strange", "strange is not this user's");
        Refused("held", "held is in use by another process");
        // The kernel is no kernel, or there is no hardware virtualization: the TAP device was had.
        foreach (string had in (string[])["free: ", "queues: "])
            Assert.Contains(lines, line => line.StartsWith(had, StringComparison.Ordinal) && !line.Contains("--tap", StringComparison.Ordinal));
        // Nothing was made and nothing went away.
        Assert.Equal("6", lines[10]);
        Directory.Delete(folder, recursive: true);

        void Refused(string which, string reason) => Assert.Contains(lines, line =>
            line.StartsWith($"{which}: sandbox: --tap: {reason}", StringComparison.Ordinal) && line.EndsWith(" 125", StringComparison.Ordinal));
    }
}
