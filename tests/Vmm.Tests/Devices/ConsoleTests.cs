using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Devices.Console;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

public sealed unsafe class ConsoleTests : IDisposable
{
    private const ulong Text = TestRam.HighStart;
    private const ulong Inbox = TestRam.HighStart + 0x1_0000;
    private const ulong News = TestRam.HighStart + 0x2_0000;

    private readonly TestRam _memory = new();
    private readonly FileDescriptor[] _hosts = new FileDescriptor[2];
    private readonly ConsoleDevice _device;
    private readonly TestDriver _driver;
    private int _told;

    public ConsoleTests()
    {
        ConsolePort[] ports =
        [
            Port(0, new ConsolePort { Name = "console", IsConsole = true }),
            Port(1, new ConsolePort { Name = "agent" }),
        ];
        _device = new ConsoleDevice(_memory.Ram, ports);
        _driver = new TestDriver(_device, _memory);
    }

    public void Dispose()
    {
        _driver.Dispose();
        foreach (FileDescriptor file in _hosts)
            file.Dispose();
        _memory.Dispose();
    }

    private ConsolePort Port(int number, ConsolePort port)
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, Libc.socketpair(
            Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0, ends));
        _hosts[number] = new FileDescriptor(ends[0]);
        FileDescriptor device = new(ends[1]);
        return port with { Input = device, Output = device.Duplicate() };
    }

    private void Say(int queue, ReadOnlySpan<byte> text)
    {
        text.CopyTo(_memory.Bytes(Text, text.Length));
        _driver.Queues[queue].Send(new Piece(Text, (uint)text.Length));
        _driver.NotifyAndRun(queue);
    }

    private void Control(uint id, int message, ushort value = 1)
    {
        _memory.At<virtio_console_control>(Text) =
            new virtio_console_control { id = id, @event = (ushort)message, value = value };
        _driver.Queues[3].Send(new Piece(Text, 8));
        _driver.NotifyAndRun(3);
    }

    /// <summary>The next message to the driver, and what follows it; null when there is none.</summary>
    private (uint Id, int Event, int Value, byte[] More)? Told()
    {
        _driver.Run();
        TestQueue queue = _driver.Queues[2];
        if (queue.AvailableIndex == _told)
        {
            queue.Send(new Piece(News, 64, true));
            _driver.NotifyAndRun(2);
        }
        if (queue.UsedIndex == _told)
            return null;
        int length = (int)queue.UsedElement(_told++).len;
        virtio_console_control message = _memory.At<virtio_console_control>(News);
        return (message.id, message.@event, message.value, _memory.Bytes(News + 8, length - 8).ToArray());
    }

    private void AssertTold(uint id, int message, int value = 1, string rest = "")
    {
        var told = Told();
        Assert.NotNull(told);
        Assert.Equal((id, message, value), (told.Value.Id, told.Value.Event, told.Value.Value));
        Assert.Equal(rest, Encoding.ASCII.GetString(told.Value.More));
    }

    private byte[] HostReads(int port)
    {
        byte[] bytes = new byte[1 << 20];
        nint count = _hosts[port].Read(bytes);
        return count < 0 ? [] : bytes[..(int)count];
    }

    private string GuestReads(int queue, uint room = 100)
    {
        TestQueue rings = _driver.Queues[queue];
        ushort before = rings.UsedIndex;
        if (rings.AvailableIndex == before)
            rings.Send(new Piece(Inbox, room, true));
        _driver.NotifyAndRun(queue);
        return rings.UsedIndex == before
            ? "" : Encoding.ASCII.GetString(_memory.Bytes(Inbox, (int)rings.UsedElement(before).len));
    }

    private void StartWithPorts()
    {
        _driver.Start();
        Control(uint.MaxValue, VIRTIO_CONSOLE_DEVICE_READY);
        AssertTold(0, VIRTIO_CONSOLE_PORT_ADD);
        AssertTold(1, VIRTIO_CONSOLE_PORT_ADD);
        Control(0, VIRTIO_CONSOLE_PORT_READY);
        AssertTold(0, VIRTIO_CONSOLE_CONSOLE_PORT);
        AssertTold(0, VIRTIO_CONSOLE_PORT_OPEN);
        AssertTold(0, VIRTIO_CONSOLE_PORT_NAME, 1, "console");
        Control(1, VIRTIO_CONSOLE_PORT_READY);
        AssertTold(1, VIRTIO_CONSOLE_PORT_OPEN);
        AssertTold(1, VIRTIO_CONSOLE_PORT_NAME, 1, "agent");
        Assert.Null(Told());
    }

    /// <summary>As when a pause ends just after the guest has.</summary>
    [Fact]
    public void A_device_that_goes_on_after_its_guest_s_end_writes_nothing()
    {
        StartWithPorts();
        _device.EndGuest();
        _driver.Transport.Resume();
        Say(1, "too late"u8);
        Assert.Equal(1, _driver.Queues[1].UsedIndex);
        Assert.Empty(HostReads(0));
        _device.EndGuest();
    }

    [Fact]
    public void A_driver_without_ports_has_the_first_one()
    {
        _driver.Start(_driver.OfferedFeatures() & ~(1UL << VIRTIO_CONSOLE_F_MULTIPORT));
        Say(1, "hello"u8);
        Assert.Equal("hello"u8.ToArray(), HostReads(0));
        _hosts[0].Write("there"u8);
        Assert.Equal("there", GuestReads(0));
        Assert.Equal("", GuestReads(0));
        _hosts[0].Write("again"u8);
        Assert.Equal("again", GuestReads(0));
    }

    [Requirement("5.3.6.2.1a")]
    [Fact]
    public void Ports_are_announced_once_until_the_device_is_reset()
    {
        StartWithPorts();
        Control(0, VIRTIO_CONSOLE_DEVICE_READY);
        Control(uint.MaxValue, VIRTIO_CONSOLE_DEVICE_READY);
        Assert.Null(Told());
        _memory.Clear();
        _told = 0;
        StartWithPorts();
        Assert.Equal(2u, _driver.Configuration<uint>(4));
    }

    [Requirement("2.7.4.1a")]
    [Fact]
    public void Messages_and_text_may_be_in_any_pieces()
    {
        StartWithPorts();
        _memory.At<virtio_console_control>(Text) =
            new virtio_console_control { id = 1, @event = VIRTIO_CONSOLE_PORT_OPEN, value = 1 };
        _driver.Queues[3].Send(new Piece(Text, 1), new Piece(Text + 1, 4), new Piece(Text + 5, 3));
        _driver.NotifyAndRun(3);
        _hosts[1].Write("abcdef"u8);
        _driver.Queues[4].Send(
            new Piece(Inbox, 1, true), new Piece(Inbox + 0x10, 2, true), new Piece(Inbox + 0x20, 9, true));
        _driver.NotifyAndRun(4);
        Assert.Equal(6u, _driver.Queues[4].UsedElement(0).len);
        Assert.Equal("a"u8.ToArray(), _memory.Bytes(Inbox, 1).ToArray());
        Assert.Equal("bc"u8.ToArray(), _memory.Bytes(Inbox + 0x10, 2).ToArray());
        Assert.Equal("def"u8.ToArray(), _memory.Bytes(Inbox + 0x20, 3).ToArray());
    }

    [Fact]
    public void Ports_are_announced_opened_and_used()
    {
        StartWithPorts();
        Assert.Equal(2u, _driver.Configuration<uint>(4));
        _hosts[1].Write("early"u8);
        Control(1, VIRTIO_CONSOLE_PORT_OPEN);
        Assert.Equal("early", GuestReads(4));
        Say(5, "up"u8);
        Assert.Equal("up"u8.ToArray(), HostReads(1));
        Assert.Empty(HostReads(0));
        Control(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
        _hosts[1].Write("late"u8);
        Assert.Equal("", GuestReads(4));
    }

    [Fact]
    public void What_came_before_anybody_listened_arrives_without_another_notification()
    {
        StartWithPorts();
        _hosts[1].Write("early"u8);
        _driver.Queues[4].Send(new Piece(Inbox, 16, true));
        _driver.NotifyAndRun(4);
        Assert.Equal(0, _driver.Queues[4].UsedIndex);
        Control(1, VIRTIO_CONSOLE_PORT_OPEN);
        _driver.Run();
        Assert.Equal(5u, _driver.Queues[4].UsedElement(0).len);
    }

    [Fact]
    public void What_the_host_does_not_take_waits_in_the_guest()
    {
        _driver.Start(_driver.OfferedFeatures() & ~(1UL << VIRTIO_CONSOLE_F_MULTIPORT));
        byte[] piece = new byte[0x4000];
        int sent = 0;
        while (sent - _driver.Queues[1].UsedIndex < 3)
        {
            Array.Fill(piece, (byte)sent++);
            Assert.InRange(sent, 0, 1000);
            // Each in its own place: those that wait must not change.
            ulong at = Text + ((ulong)(sent % 8) * 0x4000);
            piece.CopyTo(_memory.Bytes(at, piece.Length));
            _driver.Queues[1].Send(new Piece(at, (uint)piece.Length));
            _driver.NotifyAndRun(1);
        }
        List<byte> got = [];
        for (int turn = 0; got.Count < sent * piece.Length && turn < 1000; turn++)
        {
            got.AddRange(HostReads(0));
            _driver.Run();
        }
        Assert.Equal(sent * piece.Length, got.Count);
        for (int i = 0; i < got.Count; i++)
            Assert.Equal((byte)(i / piece.Length), got[i]);
        Assert.Equal(sent, _driver.Queues[1].UsedIndex);
    }

    [Fact]
    public void A_host_that_is_gone_takes_everything()
    {
        StartWithPorts();
        Control(0, VIRTIO_CONSOLE_PORT_OPEN);
        _hosts[0].Dispose();
        for (int i = 0; i < 100; i++)
            Say(1, "anybody there?"u8);
        Assert.Equal(100, _driver.Queues[1].UsedIndex);
        GuestReads(0);
        AssertTold(0, VIRTIO_CONSOLE_PORT_OPEN, 0);
        Assert.Null(Told());
    }

    [Fact]
    public void Terminals_hear_of_their_size()
    {
        StartWithPorts();
        _device.Resize(80, 25);
        Assert.Equal((80, 25), (_driver.Configuration<ushort>(0), _driver.Configuration<ushort>(2)));
        Assert.Null(Told());
        Control(0, VIRTIO_CONSOLE_PORT_OPEN);
        Control(1, VIRTIO_CONSOLE_PORT_OPEN);
        var told = Told();
        Assert.Equal((0u, VIRTIO_CONSOLE_RESIZE), (told!.Value.Id, told.Value.Event));
        Assert.Equal([80, 0, 25, 0], told.Value.More);
        Assert.Null(Told());
        _device.Resize(132, 43);
        _device.Resize(100, 40);
        Assert.Equal([100, 0, 40, 0], Told()!.Value.More);
        Assert.Null(Told());
    }

    [Fact]
    public void Messages_that_make_no_sense_are_counted()
    {
        StartWithPorts();
        Control(2, VIRTIO_CONSOLE_PORT_READY);
        Control(uint.MaxValue, VIRTIO_CONSOLE_PORT_OPEN);
        Control(0, VIRTIO_CONSOLE_PORT_OPEN, 2);
        Control(0, 99);
        Assert.Equal(4, ((ConsoleMetrics)_device.Metrics).Refused);
        Assert.Null(Told());
        // As often as it likes: each waits once.
        for (int i = 0; i < 1000; i++)
            Control(0, VIRTIO_CONSOLE_PORT_READY);
        Assert.NotNull(Told());
        Assert.NotNull(Told());
        Assert.NotNull(Told());
        _driver.Queues[3].Send(new Piece(Text, 7));
        _driver.NotifyAndRun(3);
        Assert.True(_driver.NeedsReset);
    }

    [Fact]
    public void Room_that_is_none_breaks_the_device()
    {
        StartWithPorts();
        _driver.Queues[2].Send(new Piece(News, 7, true));
        Control(0, VIRTIO_CONSOLE_PORT_READY);
        Assert.True(_driver.NeedsReset);
    }

    [Fact]
    public void What_is_no_stream_or_no_name_is_refused()
    {
        Assert.Throws<HostException>(() => new ConsoleDevice(_memory.Ram, new ConsolePort
        {
            Name = "file",
            Input = FileDescriptor.CreateMemory("file", 1),
        }));
        Assert.Throws<ArgumentException>(() => new ConsolePort { Name = new string('x', 33) });
        Assert.Throws<ArgumentOutOfRangeException>(() => new ConsoleDevice(_memory.Ram));
    }

    [Fact]
    public void A_console_that_was_saved_goes_on()
    {
        StartWithPorts();
        Control(1, VIRTIO_CONSOLE_PORT_OPEN);
        Assert.Equal([false, true], _device.Save().OpenPorts);
        Assert.True(_device.TryRestore(new ConsoleState([true, false])));
        Assert.Equal([true, false], _device.Save().OpenPorts);
        Assert.False(_device.TryRestore(new ConsoleState([true])));
    }
}
