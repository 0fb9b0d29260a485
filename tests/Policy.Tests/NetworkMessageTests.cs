using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sandbox.Policy.Contract;
using Xunit;

namespace Sandbox.Policy.Tests;

public class NetworkMessageTests
{
    [Fact]
    public void MessagesAreExactlyTheirSize()
    {
        Assert.Equal(NetworkEndpoint.Size, Unsafe.SizeOf<NetworkEndpoint>());
        Assert.Equal(NetworkRequest.Size, Unsafe.SizeOf<NetworkRequest>());
        Assert.Equal(NetworkAnswer.Size, Unsafe.SizeOf<NetworkAnswer>());
    }

    /// <summary>The layout is the protocol: a change here must come with a new version.</summary>
    [Fact]
    public void FieldsLieWhereTheProtocolPutsThem()
    {
        var request = new NetworkRequest
        {
            Version = 1, Flags = NetworkRequestFlags.SixOnly, Number = 3, Action = 4, Protocol = 5,
            Endpoint = NetworkEndpoint.Of(IPAddress.Parse("1.2.3.4"), 6), From = new NetworkEndpoint { Port = 7 }, NameLength = 8,
        };
        request.Name[0] = 9;
        Assert.Equal(
            "0100000002000000" + "0300000000000000" + "0400000005000000" + "00000000000000000000ffff01020304" + "06000000"
            + "00000000000000000000000000000000" + "07000000" + "08000000" + "09",
            Hex(request)[..(2 * 69)]);
        var answer = new NetworkAnswer { Version = 1, Error = 2, Number = 3, Local = new NetworkEndpoint { Port = 4 }, AddressCount = 5 };
        answer.Addresses[0] = 6;
        Assert.Equal(
            "0100000002000000" + "0300000000000000" + "00000000000000000000000000000000" + "04000000" + "05000000" + "06",
            Hex(answer)[..(2 * 41)]);
    }

    [Theory]
    [InlineData("192.0.2.1")]
    [InlineData("2001:db8::1")]
    [InlineData("::")]
    [InlineData("0.0.0.0")]
    public void AnAddressSurvivesTheWay(string text)
    {
        IPAddress address = IPAddress.Parse(text);
        Assert.Equal(address, NetworkEndpoint.Of(address, 1).ToAddress());
    }

    static string Hex<T>(in T message) where T : unmanaged =>
        Convert.ToHexStringLower(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in message)));
}
