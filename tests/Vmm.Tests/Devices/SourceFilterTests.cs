using System.Net;
using Sandbox.Vmm.Devices.Net;
using Xunit;

namespace Sandbox.Vmm.Tests.Devices;

/// <summary>What a guest may send from which addresses.</summary>
public class SourceFilterTests
{
    private const string Mac = "02aabbccddee";
    private const string Other = "020000000001";
    private const string Own4 = "0a000002", Other4 = "0a000003", None4 = "00000000";
    private const string Own6 = "fe8000000000000000aabbfffeccddee", Other6 = "fe800000000000000000000000000001";
    private const string None6 = "00000000000000000000000000000000", All6 = "ff020000000000000000000000000001";

    private static readonly SourceFilter s_filter = new(Convert.FromHexString(Mac),
        [IPAddress.Parse("10.0.0.2"), IPAddress.Parse("fe80::aa:bbff:fecc:ddee")]);

    private static string Four(string source) =>
        $"0800 45000028000040004006 0000 {source} 0a000001 {new string('0', 40)}";

    private static string Arp(string mac, string source, string head = "0001080006040001") =>
        $"0806 {head} {mac} {source} 000000000000 0a000001";

    private static string Six(string source, string next, string payload) =>
        $"86dd 60000000 0020 {next} ff {source} {All6} {payload}";

    private static string Discover(int type, string target) => $"{type:x2} 00 0000 00000000 {target}";

    public static TheoryData<string, string, SourceVerdict> Packets => new()
    {
        { "own address", Four(Own4), SourceVerdict.Pass },
        { "another's", Four(Other4), SourceVerdict.Address },
        { "none", Four(None4), SourceVerdict.Address },
        { "cut", Four(Own4)[..30], SourceVerdict.Address },
        { "arp", Arp(Mac, Own4), SourceVerdict.Pass },
        { "arp probe", Arp(Mac, None4), SourceVerdict.Pass },
        { "arp of another", Arp(Mac, Other4), SourceVerdict.Address },
        { "arp of another card", Arp(Other, Own4), SourceVerdict.Address },
        { "arp of a strange kind", Arp(Mac, Own4, "0006080006040001"), SourceVerdict.Address },
        { "arp with long addresses", Arp(Mac, Own4, "0001080008040001"), SourceVerdict.Address },
        { "six", Six(Own6, "06", "00"), SourceVerdict.Pass },
        { "six of another", Six(Other6, "11", "00"), SourceVerdict.Address },
        { "six of none", Six(None6, "06", "00"), SourceVerdict.Address },
        { "echo", Six(Own6, "3a", Discover(128, Other6)), SourceVerdict.Pass },
        { "echo of another", Six(Other6, "3a", Discover(128, Other6)), SourceVerdict.Address },
        { "solicitation", Six(Own6, "3a", Discover(135, Other6)), SourceVerdict.Pass },
        { "solicitation of none", Six(None6, "3a", Discover(135, Own6)), SourceVerdict.Pass },
        { "advertisement", Six(Own6, "3a", Discover(136, Own6)), SourceVerdict.Pass },
        { "advertisement of another", Six(Own6, "3a", Discover(136, Other6)), SourceVerdict.Address },
        { "advertisement cut", Six(Own6, "3a", "88 00 0000 00000000"), SourceVerdict.Address },
        { "router", Six(Own6, "3a", Discover(134, Own6)), SourceVerdict.Address },
        { "redirect", Six(Own6, "3a", Discover(137, Own6)), SourceVerdict.Address },
        { "report", Six(None6, "00", "3a00050200000000 8f00"), SourceVerdict.Pass },
        { "hidden advertisement", Six(Own6, "00", $"3a00050200000000 {Discover(136, Other6)}"), SourceVerdict.Address },
        { "hidden twice", Six(Own6, "00", "0000050200000000 3a00050200000000 88"), SourceVerdict.Address },
        { "long option", Six(Own6, "00", "3aff050200000000 80"), SourceVerdict.Address },
        { "routed", Six(Own6, "2b", "3a00050200000000 80"), SourceVerdict.Address },
        { "fragment", Six(Own6, "2c", "1100000100000000 00"), SourceVerdict.Pass },
        { "fragment of discovery", Six(Own6, "2c", "3a00000100000000 88"), SourceVerdict.Address },
        { "empty", Six(Own6, "3a", ""), SourceVerdict.Address },
        { "vlan", $"8100 0001 {Four(Own4)}", SourceVerdict.Address },
        { "unknown", "88cc 00", SourceVerdict.Address },
    };

    [Theory]
    [MemberData(nameof(Packets))]
    public void Packets_are_judged(string name, string packet, SourceVerdict verdict)
    {
        Assert.True(verdict == s_filter.Judge(Frame(Mac, packet)), name);
        Assert.Equal(SourceVerdict.Mac, s_filter.Judge(Frame(Other, packet)));
        Assert.Equal(SourceVerdict.Pass, new SourceFilter(Convert.FromHexString(Mac), []).Judge(Frame(Mac, packet)));
    }

    [Fact]
    public void Every_cut_of_every_packet_is_judged()
    {
        foreach (var row in Packets)
        {
            byte[] frame = Frame(Mac, row.Data.Item2);
            for (int length = 0; length < frame.Length; length++)
                Assert.True(s_filter.Judge(frame.AsSpan(0, length)) != SourceVerdict.Pass
                    || row.Data.Item3 == SourceVerdict.Pass, row.Data.Item1);
        }
    }

    private static byte[] Frame(string source, string packet) =>
        Convert.FromHexString($"ffffffffffff{source}{packet}".Replace(" ", "", StringComparison.Ordinal));
}
