using System.Net;
using Sandbox.Supervisor.CommandLine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class TapArgumentTests
{
    [Fact]
    public void APartIsWhatItSays()
    {
        TapArgument tap = TapArgument.Parse("tap0,gateway=2001:db8::1,mac=0A:00:00:00:00:fe,address=2001:db8::2/64");
        Assert.Equal(("tap0", 64), (tap.Name, tap.PrefixBits));
        Assert.Equal(IPAddress.Parse("2001:db8::2"), tap.Address);
        Assert.Equal(IPAddress.Parse("2001:db8::1"), tap.Gateway);
        Assert.Equal([0x0a, 0, 0, 0, 0, 0xfe], tap.Mac);
        Assert.Equal(1, tap.Queues);
        Assert.Equal(8, TapArgument.Parse("tap0,queues=8").Queues);
    }

    [Fact]
    public void WithoutAMacAddressThereIsOneOfItsOwnThatStays()
    {
        TapArgument[] taps = [.. ((string[])["tap0", "tap0", "tap1", "tap0,address=10.0.0.2/24", "tap0,address=10.0.0.3/24"]).Select(TapArgument.Parse)];
        Assert.Equal(taps[0].Mac, taps[1].Mac);
        Assert.Equal(4, taps.Select(tap => Convert.ToHexString(tap.Mac)).Distinct().Count());
        // Locally administered, and one interface's.
        Assert.All(taps, tap => Assert.Equal(2, tap.Mac[0] & 3));
        Assert.Null(taps[0].Address);
        Assert.Null(taps[0].Gateway);
    }

    [Theory]
    [InlineData("", "is no name of an interface")]
    [InlineData(".", "is no name of an interface")]
    [InlineData("a/b", "is no name of an interface")]
    [InlineData("a b", "is no name of an interface")]
    [InlineData("tap%d", "is no name of an interface")]
    [InlineData("t\u00e4p", "is no name of an interface")]
    [InlineData("sixteen-letters-", "is too long for an interface; names have 15 letters")]
    [InlineData("tap0,", "'' is none of address=")]
    [InlineData("tap0,mtu=9000", "'mtu=9000' is none of address=")]
    [InlineData("tap0,mac=02:00:00:00:00:01,mac=02:00:00:00:00:01", "says mac twice")]
    [InlineData("tap0,queues=0", "'0' is no number of queues; write 1 to 8")]
    [InlineData("tap0,queues=9", "'9' is no number of queues")]
    [InlineData("tap0,queues=-1", "'-1' is no number of queues")]
    [InlineData("tap0,queues=", "'' is no number of queues")]
    [InlineData("tap0,mac=02:00:00:00:00", "is no MAC address")]
    [InlineData("tap0,mac=02:00:00:00:00:1", "is no MAC address")]
    [InlineData("tap0,mac=02:00:00:00:00:0g", "is no MAC address")]
    [InlineData("tap0,mac=00:00:00:00:00:00", "is no MAC address")]
    [InlineData("tap0,mac=03:00:00:00:00:01", "is the MAC address of a group")]
    [InlineData("tap0,mac=ff:ff:ff:ff:ff:ff", "is the MAC address of a group")]
    [InlineData("tap0,address=10.0.0.2", "is no address with its network's bits")]
    [InlineData("tap0,address=10.0.2/24", "is no address with its network's bits")]
    [InlineData("tap0,address=10.0.0.2/33", "is no address with its network's bits")]
    [InlineData("tap0,address=10.0.0.2/0", "is no address with its network's bits")]
    [InlineData("tap0,address=10.0.0.2/+8", "is no address with its network's bits")]
    [InlineData("tap0,address=127.0.0.1/8", "is no address that a guest can have")]
    [InlineData("tap0,address=224.0.0.1/8", "is no address that a guest can have")]
    [InlineData("tap0,address=255.255.255.255/8", "is no address that a guest can have")]
    [InlineData("tap0,address=0.0.0.0/8", "is no address that a guest can have")]
    [InlineData("tap0,address=ff02::1/64", "is no address that a guest can have")]
    [InlineData("tap0,gateway=10.0.0.1", "gateway= needs address=")]
    [InlineData("tap0,address=10.0.0.2/24,gateway=x", "is no address of a gateway")]
    [InlineData("tap0,address=10.0.0.2/24,gateway=10.0.1.1", "is not in the network of 10.0.0.2/24")]
    [InlineData("tap0,address=10.0.0.2/24,gateway=2001:db8::1", "is not in the network of")]
    [InlineData("tap0,address=10.0.0.2/24,gateway=10.0.0.2", "is the guest's own address")]
    public void AMistakeIsOneLine(string text, string reason) =>
        OneLine.Refuses(reason, () => TapArgument.Parse(text));
}
