using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sandbox.Policy.Contract;
using Xunit;

namespace Sandbox.Policy.Tests;

public class ChannelMessageTests
{
    [Fact]
    public void AMessageIsExactlyItsSize()
    {
        Assert.Equal(ChannelMessage.Size, Unsafe.SizeOf<ChannelMessage>());
        Assert.Equal(32, ChannelMessage.Size);
    }

    /// <summary>The layout is the protocol: a change here must come with a new version.</summary>
    [Fact]
    public void FieldsLieWhereTheProtocolPutsThem()
    {
        var message = new ChannelMessage
        {
            Version = 0x01020304,
            Kind = (MessageKind)0x11121314,
            Cause = (EndCause)0x21222324,
            Detail32 = 0x31323334,
            Value = 0x4142434445464748,
            Detail = 0x5152535455565758,
        };
        byte[] bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<ChannelMessage>(in message)).ToArray();
        Assert.Equal("0403020114131211242322213433323148474645444342415857565554535251", Convert.ToHexStringLower(bytes));
    }

    [Fact]
    public void ExitStatusesAreTheDocumentedOnes() =>
        Assert.Equal(
            [120, 121, 122, 124, 125, 126, 127, 128, 137, 153],
            new[]
            {
                ExitStatus.Rebooted, ExitStatus.KernelPanic, ExitStatus.TripleFault,
                ExitStatus.TimeLimit, ExitStatus.SandboxFailed, ExitStatus.NotExecutable, ExitStatus.NotFound,
                ExitStatus.SignalBase, ExitStatus.MemoryLimit, ExitStatus.OutputLimit,
            });
}
