using System.Net;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Devices.Net;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

// Several pairs of queues, and the commands that choose them.
public sealed unsafe partial class NetTests
{
    [Requirement("5.1.6.5.6a")]
    [Requirement("5.1.6.5.6b")]
    [Fact]
    public void Pairs_are_used_when_the_guest_says_so()
    {
        Start(pairs: 2);
        Assert.Equal(2, Driver.Configuration<ushort>(8));
        Assert.False(_links[1].Configurations[^1].IsUsed);
        OfferRoom(2, 1, 1000);
        HostSends(Frame(60), link: 1);
        Assert.Equal(0, Driver.Queues[2].UsedIndex);
        Assert.Equal(VIRTIO_NET_OK, Control(4, 0, 2));
        Assert.True(_links[1].Configurations[^1].IsUsed);
        Assert.Equal(1, Driver.Queues[2].UsedIndex);
        Send(Frame(60), queue: 3);
        Assert.Equal(72, HostReads(1).Length);
        Assert.Equal(new NetState(2), ((NetDevice)Driver.Device).Save());
        Assert.Equal(VIRTIO_NET_ERR, Control(4, 0, 0));
        Assert.Equal(VIRTIO_NET_ERR, Control(4, 0, 3));
        Assert.Equal(VIRTIO_NET_ERR, Control(4, 1, 1));
        Assert.Equal(VIRTIO_NET_ERR, Control(0, 0, 1));
        Assert.Equal(VIRTIO_NET_OK, Control(4, 0, 1));
        OfferRoom(2, 1, 1000);
        HostSends(Frame(60), link: 1);
        Assert.Equal(1, Driver.Queues[2].UsedIndex);
        _links[1].Fails = true;
        Assert.Equal(VIRTIO_NET_ERR, Control(4, 0, 2));
        Assert.Equal(1, Metrics.Count(NetCount.LinkFailed));
        // What is so already is made so again: the host may have changed a link before it refused another.
        _links[1].Fails = false;
        int configured = _links[0].Configurations.Count;
        Assert.Equal(VIRTIO_NET_OK, Control(4, 0, 1));
        Assert.Equal(VIRTIO_NET_OK, Control(4, 0, 1));
        Assert.Equal(configured + 1, _links[0].Configurations.Count);
    }

    // With the threads at work: what the second pair's had begun is over when the command is answered.
    [Requirement("5.1.6.5.6b")]
    [Fact]
    public void Nothing_comes_on_a_pair_that_is_not_used_any_more()
    {
        _changes = 1000;
        Start(pairs: 2);
        Driver.Transport.Start();
        using CancellationTokenSource end = new();
        Thread sender = new(() =>
        {
            byte[] packet = [.. new byte[12], .. Frame(60)];
            while (!end.IsCancellationRequested)
                _hosts[1].Write(packet);
        });
        sender.Start();
        TestQueue inbox = Driver.Queues[2];
        for (int round = 0; round < 100; round++)
        {
            ushort before = inbox.UsedIndex;
            while ((ushort)(inbox.AvailableIndex - before) < 128)
                inbox.Send(new Piece(Inbox, 1000, true));
            Command(2);
            WaitFor(() => Volatile.Read(ref inbox.UsedIndex) != before);
            Command(1);
            ushort used = Volatile.Read(ref inbox.UsedIndex);
            Thread.Yield();
            Assert.Equal(used, Volatile.Read(ref inbox.UsedIndex));
        }
        end.Cancel();
        sender.Join();

        void Command(ushort pairs)
        {
            ushort answered = (ushort)(Driver.Queues[4].UsedIndex + 1);
            byte[] bytes = [4, 0, (byte)pairs, 0, 0xee];
            bytes.CopyTo(_memory.Bytes(Packet, 5));
            Driver.Queues[4].Send(new Piece(Packet, 4), new Piece(Packet + 4, 1, true));
            Driver.Notify(4);
            WaitFor(() => Volatile.Read(ref Driver.Queues[4].UsedIndex) == answered);
            Assert.Equal(VIRTIO_NET_OK, _memory.At<byte>(Packet + 4));
        }

        static void WaitFor(Func<bool> condition) =>
            Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(20)), "it took too long");
    }

    /// <summary>All interfaces of the host wait while one changes.</summary>
    [Fact]
    public void Changes_of_the_hosts_links_are_held_and_made_up_for()
    {
        long started = HostClock.MonotonicNanoseconds();
        Start(pairs: 2);
        for (int i = 0; i < 1000; i++)
        {
            _memory.Clear();
            Driver.Start();
            Driver.Run();
        }
        AssertHeld();
        byte answer = VIRTIO_NET_OK;
        for (ushort i = 0; i < 4 && answer == VIRTIO_NET_OK; i++)
            answer = Control(4, 0, (ushort)(2 - (i & 1)));
        Assert.Equal(0xee, answer);
        AssertHeld();
        while (_memory.At<byte>(Packet + 4) == 0xee)
            Driver.Device.Workers[0].RunOnce(1000);
        Assert.Equal(VIRTIO_NET_OK, _memory.At<byte>(Packet + 4));

        void AssertHeld()
        {
            long seconds = (HostClock.MonotonicNanoseconds() - started) / HostClock.NanosecondsPerSecond;
            Assert.InRange(_links[1].Configurations.Count, 10, 1 + 16 + (4 * (seconds + 1)));
        }
    }

    /// <summary>A driver that knows of one pair has the queue behind that (5.1.2).</summary>
    [Fact]
    public void Without_several_pairs_commands_come_on_the_third_queue_and_there_are_none()
    {
        Start(1UL << VIRTIO_NET_F_MQ, pairs: 2);
        Assert.Equal(VIRTIO_NET_ERR, Control(4, 0, 2, queue: 2));
        Assert.Equal(0xee, Control(4, 0, 2, queue: 4));
    }

    private byte Control(byte kind, byte command, ushort value, int queue = 4)
    {
        byte[] bytes = [kind, command, (byte)value, (byte)(value >> 8), 0xee];
        bytes.CopyTo(_memory.Bytes(Packet, 5));
        Driver.Queues[queue].Send(new Piece(Packet, 4), new Piece(Packet + 4, 1, true));
        Driver.NotifyAndRun(queue);
        return _memory.At<byte>(Packet + 4);
    }
}
