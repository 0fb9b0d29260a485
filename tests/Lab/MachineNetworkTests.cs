using System.Security.Cryptography;
using System.Text.Json;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.Lab;

/// <summary>Machine guests with a TAP device, in a network namespace of the lab host.</summary>
[Collection(nameof(OnMachineHost))]
public sealed class MachineNetworkTests
{
    const string Here = "10.9.0.1", Guest = "10.9.0.2";

    static string Folder
    {
        get
        {
            string folder = Path.Combine(Laboratory.Root, "build/test/machine/net");
            Directory.CreateDirectory(folder);
            return folder;
        }
    }

    static string InLab(string name) => $"{LabHost.Repository}/build/test/machine/net/{name}";

    static string Policy
    {
        get
        {
            File.WriteAllText(Path.Combine(Folder, "network.yaml"),
                """
                version: 1
                extends: builtin:machine-default.yaml
                devices:
                  - device: network
                    because: a test
                """);
            return InLab("network.yaml");
        }
    }

    /// <summary>
    /// Runs a script in a network namespace with a TAP device, tap0, which has the address <see cref="Here"/>. The names
    /// ip and busybox are programs; $run is sandbox run with what every guest here takes.
    /// </summary>
    static Outcome Run(string script, string kind = "", int seconds = 170, string? root = null)
    {
        Laboratory.Need();
        root ??= MachineTests.Image("net-root");
        string flags = $"--kernel {MachineTests.PackagedKernel} --root {root} --memory 256M --policy {Policy}";
        return Laboratory.MachineHost.Run(["unshare", "-n", "sh", "-c",
            $"""
            set -e
            run='{Laboratory.SandboxInLab} run {flags}'
            ip link set lo up
            ip tuntap add dev tap0 mode tap {kind}
            ip address add {Here}/24 dev tap0
            ip link set tap0 up
            {script}
            """], limit: TimeSpan.FromSeconds(seconds));
    }

    [Fact]
    public void A_guest_reaches_its_TAP_device_and_nothing_else_and_only_as_itself()
    {
        Laboratory.Need();
        byte[] content = new byte[3 << 20];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(Path.Combine(Folder, "content"), content);
        // Down, up, elsewhere, and then as somebody else: each line of the guest's is one answer.
        File.WriteAllText(Path.Combine(Folder, "guest.sh"),
            $"""
            busybox wget -q -O - http://{Here}/content | busybox tee /tmp/content | busybox sha256sum
            busybox nc {Here} 9000 </tmp/content && echo sent
            busybox ping -c 1 -W 2 127.0.0.1 >/dev/null && echo loopback
            busybox ip route
            busybox nc -w 3 10.7.0.1 80 </dev/null 2>/dev/null || echo unreachable
            busybox ip address add 10.9.0.77/24 dev eth0
            busybox ping -c 1 -W 2 -I 10.9.0.77 {Here} >/dev/null || echo silent
            busybox ip link set eth0 down
            busybox ip link set eth0 address 02:00:00:00:00:77
            busybox ip link set eth0 up
            busybox ping -c 1 -W 2 {Here} >/dev/null || echo silent
            """);
        Outcome outcome = Run(
            $"""
            busybox httpd -p {Here}:80 -h {InLab("")}
            # At the end of its input it would tell the guest that nothing more comes, which then sends nothing more.
            mkfifo open
            busybox nc -l -p 9000 <open >received &
            received=$!
            exec 9>open
            $run --tap tap0,address={Guest}/24,gateway={Here} --json result -- busybox sh -c "$(cat {InLab("guest.sh")})" 2>&1
            wait $received
            busybox sha256sum <received
            ip -o link show tap0 >&2
            cat result >&2
            """);
        Assert.True(outcome.Status == 0, outcome.ToString());
        string sum = Convert.ToHexStringLower(SHA256.HashData(content)) + "  -";
        Assert.Equal(
            [
                sum, "sent", "loopback", $"default via {Here} dev eth0 ", $"10.9.0.0/24 dev eth0 scope link  src {Guest} ",
                "unreachable", "silent", "silent", sum,
            ],
            outcome.Text.TrimEnd('\n').Split('\n'));
        string record = outcome.ErrorText[outcome.ErrorText.IndexOf('{')..];
        JsonElement net = JsonDocument.Parse(record).RootElement.GetProperty("devices").EnumerateArray()
            .Single(device => device.GetProperty("kind").GetString() == "net");
        Assert.True(Count("droppedSpoofedMac") + Count("droppedSpoofedAddress") >= 2, outcome.ErrorText);
        Assert.Equal(0, Count("droppedMalformed") + Count("droppedByHost") + Count("droppedTooLong"));
        Assert.True(Count("packetsSent") > 50, outcome.ErrorText);
        Assert.True(Count("packetsReceived") > 50, outcome.ErrorText);

        int Count(string what) => net.GetProperty(what).GetInt32();
    }

    [Fact]
    public void An_interface_with_two_pairs_of_queues_is_used_by_a_driver_that_needs_one()
    {
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        byte[] content = new byte[1 << 20];
        new Random(2).NextBytes(content);
        Laboratory.Need();
        File.WriteAllBytes(Path.Combine(Folder, "queues"), content);
        Outcome outcome = Run(
            $"""
            busybox httpd -p {Here}:80 -h {InLab("")}
            $run --tap tap0,queues=2,address={Guest}/24 --json /proc/self/fd/2 -- busybox sh -c \
                'echo /sys/class/net/eth0/queues/*; busybox wget -q -O - http://{Here}/queues | busybox sha256sum'
            """, "multi_queue");
        Assert.True(outcome.Status == 0, outcome.ToString());
        // The lab host has one processor, so has the guest, and Linux uses a pair for each.
        const string Queues = "/sys/class/net/eth0/queues";
        Assert.Equal(
            [
                $"{Queues}/rx-0 {Queues}/tx-0",
                Convert.ToHexStringLower(SHA256.HashData(content)) + "  -",
            ],
            outcome.Text.TrimEnd('\n').Split('\n'));
        JsonElement net = JsonDocument.Parse(outcome.ErrorText[outcome.ErrorText.IndexOf('{')..]).RootElement
            .GetProperty("devices").EnumerateArray().Single(device => device.GetProperty("kind").GetString() == "net");
        // Two pairs, and one for commands: the driver has said how many pairs it uses.
        long[] requests = [.. net.GetProperty("queues").EnumerateArray().Select(queue => queue.GetProperty("count").GetInt64())];
        Assert.Equal(5, requests.Length);
        Assert.True(requests[0] > 0 && requests[1] > 0 && requests[2] == 0 && requests[3] == 0, outcome.ErrorText);
        Assert.Equal(0, net.GetProperty("linkFailed").GetInt32());
    }

    /// <summary>
    /// Two processors, each of which sends through a pair of its own, as Linux has it, and gets the answers there: the TAP
    /// device remembers where a flow came from.
    /// </summary>
    [Fact]
    public void Two_pairs_of_queues_are_used_by_a_guest_with_two_processors()
    {
        Assert.SkipUnless(Laboratory.All, "boots a kernel once more: ./test --lab-all");
        byte[] content = new byte[1 << 20];
        new Random(3).NextBytes(content);
        Laboratory.Need();
        File.WriteAllBytes(Path.Combine(Folder, "pairs"), content);
        Outcome outcome = Run(
            $"""
            busybox httpd -p {Here}:80 -h {InLab("")}
            $run --cpus 2 --append '{MachineProcessorTests.Patient}' --tap tap0,queues=2,address={Guest}/24 --json /proc/self/fd/2 -- \
                busybox sh -c 'echo /sys/class/net/eth0/queues/*
                for mask in 1 2 1 2; do busybox taskset $mask busybox wget -q -O - http://{Here}/pairs | busybox sha256sum; done'
            """, "multi_queue");
        Assert.True(outcome.Status == 0, outcome.ToString());
        const string Queues = "/sys/class/net/eth0/queues";
        string sum = Convert.ToHexStringLower(SHA256.HashData(content)) + "  -";
        Assert.Equal(
            [$"{Queues}/rx-0 {Queues}/rx-1 {Queues}/tx-0 {Queues}/tx-1", sum, sum, sum, sum],
            outcome.Text.TrimEnd('\n').Split('\n'));
        JsonElement net = JsonDocument.Parse(outcome.ErrorText[outcome.ErrorText.IndexOf('{')..]).RootElement
            .GetProperty("devices").EnumerateArray().Single(device => device.GetProperty("kind").GetString() == "net");
        long[] requests = [.. net.GetProperty("queues").EnumerateArray().Select(queue => queue.GetProperty("count").GetInt64())];
        Assert.True(requests.Length == 5 && requests[..4].All(count => count > 10), outcome.ErrorText);
        Assert.Equal(0, net.GetProperty("linkFailed").GetInt32());
    }

    const int Streams = 8;

    /// <summary>
    /// What iperf3 says arrived is what the lab host saw on the wire, stream by stream; nobody else sent anything. Segments
    /// are as large as offloads make them, in both directions.
    /// </summary>
    [Fact]
    public void Many_streams_go_both_ways_as_the_wire_shows_them()
    {
        Laboratory.Need();
        Assert.SkipUnless(Laboratory.All, "takes minutes: ./test --lab-all");
        const string iperf = "/usr/bin/iperf3", dump = "/usr/bin/tcpdump";
        Outcome outcome = Run(
            $"""
            # Only what the guest and this host say to each other.
            echo 1 >/proc/sys/net/ipv6/conf/tap0/disable_ipv6
            # A buffer for all of it, in KiB, should this host be too busy to empty it.
            {dump} -i tap0 -s 96 -B 65536 -w capture -Z root 2>dumped &
            dump=$!
            # Packets that are in the capture, that came, and that there was no room for, as SIGUSR1 has tcpdump say.
            counted() (
                kill -USR1 $dump
                sleep 0.2
                sed -n '$s/.*: \([0-9]*\) .* captured, \([0-9]*\) .* filter, \([0-9]*\) .* kernel$/\1 \2 \3/p' dumped
            )
            until grep -q listening dumped; do sleep 0.2; done
            {iperf} -s --forceflush >served &
            server=$!
            until grep -q listening served; do sleep 0.2; done
            $run --append '{MachineTests.Sane} ipv6.disable=1' --tap tap0,address={Guest}/24,gateway={Here} --json result -- sh -c '
                measure="{iperf} -c {Here} -P {Streams} -n 64M -J"
                $measure >/tmp/up && $measure -R >/tmp/down
                cat /tmp/up; echo; echo ,; cat /tmp/down' >said
            kill $server
            # What the kernel has counted, and not yet handed over in a block, would be lost with an end by now.
            until set -- $(counted); [ $# = 3 ] && [ $1 = $(($2 - $3)) ]; do sleep 0.2; done
            kill -INT $dump
            wait
            (echo '['; cat said; echo ','; cat result; echo ", [$1, $2, $3]]") >&2
            cat capture
            """, seconds: 560, root: MachineRoot.With("net-bulk", iperf));
        Assert.True(outcome.Status == 0, outcome.ToString());
        using JsonDocument document = JsonDocument.Parse(outcome.ErrorText[outcome.ErrorText.IndexOf('[')..]);
        JsonElement[] said = [.. document.RootElement.EnumerateArray()];
        WireCapture capture = WireCapture.Parse(outcome.Output, Here, Guest);
        int[] counted = [.. said[3].EnumerateArray().Select(number => number.GetInt32())];
        Assert.True(counted[2] == 0,
            $"tcpdump had no room for {counted[2]} of {counted[1]} packets: it does not show all that was on the wire");
        Assert.Equal(counted[0], capture.Packets);
        Assert.Equal(0, capture.Strangers);
        Assert.Equal(0, capture.BadHeaders);
        Assert.Equal((Streams, Streams), (capture.Bulk(fromGuest: true).Length, capture.Bulk(fromGuest: false).Length));
        MustAgree(said[0], capture.Bulk(fromGuest: true));
        MustAgree(said[1], capture.Bulk(fromGuest: false));
        Assert.InRange(capture.LargestFromGuest, 1515, 65_550);
        Assert.InRange(capture.LargestFromHost, 1515, 65_550);
        JsonElement net = said[2].GetProperty("devices").EnumerateArray()
            .Single(device => device.GetProperty("kind").GetString() == "net");
        Assert.Equal(capture.FromGuest, net.GetProperty("packetsSent").GetInt64());
        Assert.All((string[])["droppedSpoofedMac", "droppedSpoofedAddress", "droppedMalformed", "droppedByHost", "droppedTooLong"],
            reason => Assert.Equal(0, net.GetProperty(reason).GetInt64()));

        // The last of it, as much as 8 sockets hold on a host that is busy, may not have been waited for; each stream of the
        // client's begins with 37 bytes of its own.
        static void MustAgree(JsonElement run, long[] wire)
        {
            JsonElement end = run.GetProperty("end");
            Assert.Equal(Streams, end.GetProperty("streams").GetArrayLength());
            long Of(string sum) => end.GetProperty(sum).GetProperty("bytes").GetInt64();
            Assert.InRange(Of("sum_received"), 48 << 20, Of("sum_sent"));
            Assert.InRange(wire.Sum(), Of("sum_received"), Of("sum_sent") + Streams * 37);
        }
    }
}
