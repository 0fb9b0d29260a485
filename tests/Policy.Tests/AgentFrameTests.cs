using Sandbox.Policy.Contract;
using Xunit;

namespace Sandbox.Policy.Tests;

public class AgentFrameTests
{
    static List<(AgentFrameKind Kind, byte[] Payload)> Decode(byte[] stream, int piece, out bool isStream)
    {
        var decoder = new AgentDecoder();
        var frames = new List<(AgentFrameKind, byte[])>();
        isStream = true;
        for (int at = 0; at < stream.Length && isStream; at += piece)
        {
            ReadOnlySpan<byte> bytes = stream.AsSpan(at, Math.Min(piece, stream.Length - at));
            while (!bytes.IsEmpty && isStream)
            {
                isStream = decoder.TryTake(ref bytes, out bool isWhole);
                if (isStream && isWhole)
                    frames.Add((decoder.Kind, decoder.Payload.ToArray()));
            }
        }

        return frames;
    }

    static byte[] Frame(AgentFrameKind kind, byte[] payload)
    {
        byte[] frame = new byte[AgentFrame.HeaderSize + payload.Length];
        Assert.Equal(frame.Length, AgentFrame.Write(kind, payload, frame));
        return frame;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(1000)]
    [InlineData(100_000)]
    public void FramesComeOutAsTheyWentInHoweverTheStreamIsCut(int piece)
    {
        var random = new Random(piece);
        (AgentFrameKind Kind, byte[] Payload)[] sent = [.. Enumerable.Range(0, 50).Select(i =>
        {
            byte[] payload = new byte[i == 0 ? 0 : i == 1 ? AgentFrame.MaximumPayload : random.Next(100)];
            random.NextBytes(payload);
            return ((AgentFrameKind)random.Next(256), payload);
        })];
        var received = Decode([.. sent.SelectMany(frame => Frame(frame.Kind, frame.Payload))], piece, out bool isStream);
        Assert.True(isStream);
        Assert.Equal(sent.Length, received.Count);
        Assert.All(sent.Zip(received), pair =>
        {
            Assert.Equal(pair.First.Kind, pair.Second.Kind);
            Assert.Equal(pair.First.Payload, pair.Second.Payload);
        });
    }

    [Theory]
    [InlineData("02010000")]
    [InlineData("02000140")]
    [InlineData("0200ffff")]
    public void WhatIsNoFrameIsRefusedAtItsHead(string hex)
    {
        byte[] head = Convert.FromHexString(hex);
        Assert.Empty(Decode(head, 1, out bool isStream));
        Assert.False(isStream);
    }

    [Fact]
    public void APayloadHasABound() => Assert.Throws<ArgumentOutOfRangeException>(
        () => AgentFrame.Write(AgentFrameKind.Output, new byte[AgentFrame.MaximumPayload + 1], new byte[2 * AgentFrame.MaximumPayload]));

    [Fact]
    public void AnOrderIsReadAsItWasWritten()
    {
        var order = new AgentOrder
        {
            Modules = ["a.ko", "b.ko"], WritableRoot = true, Arguments = ["sh", "-c", "echo \u00e4"], Environment = ["A=b"],
            WorkingDirectory = "/", Hostname = "h", Terminal = new AgentTerminal(24, 80),
            Interfaces =
            [
                new AgentInterface { Mac = [2, 0, 0, 0, 0, 1], Address = [10, 0, 0, 2], PrefixBits = 24, Gateway = [10, 0, 0, 1] },
            ],
        };
        AgentOrder read = AgentOrder.Deserialize(order.Serialize());
        Assert.Equal(order.Serialize(), read.Serialize());
        Assert.Equal(order.Arguments, read.Arguments);
        AgentInterface one = Assert.Single(read.Interfaces);
        Assert.Equal(24, one.PrefixBits);
        Assert.Equal(order.Interfaces[0].Gateway, one.Gateway);
        byte[] bytes = order.Serialize();
        Assert.Throws<PlanException>(() => AgentOrder.Deserialize(bytes.AsSpan(0, bytes.Length - 1)));
        Assert.Throws<PlanException>(() => AgentOrder.Deserialize([.. bytes, 0]));
        bytes[0]++;
        Assert.Throws<PlanException>(() => AgentOrder.Deserialize(bytes));
    }
}
