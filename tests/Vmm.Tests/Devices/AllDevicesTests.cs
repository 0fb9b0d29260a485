using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Balloon;
using Sandbox.Vmm.Devices.Block;
using Sandbox.Vmm.Devices.Console;
using Sandbox.Vmm.Devices.Net;
using Sandbox.Vmm.Devices.Rng;
using Sandbox.Vmm.Devices.Vsock;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

/// <summary>What holds for every kind of device.</summary>
public sealed unsafe class AllDevicesTests : IDisposable, IVsockHost
{
    private const ulong High = TestRam.HighStart;
    private const uint Room = 0x8000;

    private readonly TestRam _memory = new();
    private readonly List<IDisposable> _open = [];

    public void Dispose()
    {
        for (int i = _open.Count - 1; i >= 0; i--)
            _open[i].Dispose();
        _memory.Dispose();
    }

    public static TheoryData<VirtioKind> Kinds => [.. Enum.GetValues<VirtioKind>()[1..]];

    VsockReply IVsockHost.Connect(uint port, ulong number, out FileDescriptor? file)
    {
        file = Pair(Libc.SOCK_STREAM);
        return VsockReply.Connected;
    }

    private FileDescriptor Pair(int type)
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, Libc.socketpair(Libc.AF_UNIX, type | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0, ends));
        _open.Add(new FileDescriptor(ends[0]));
        return new FileDescriptor(ends[1]);
    }

    private TestDriver Create(VirtioKind kind)
    {
        VirtioDevice device = kind switch
        {
            VirtioKind.Block => new BlockDevice(
                _memory.Ram, new BlockOptions { File = FileDescriptor.CreateMemory("disk", 64 * 512), Queues = 2 }),
            VirtioKind.Net => new NetDevice(_memory.Ram, new NetOptions
            {
                Links = [new PacketLink(Pair(Libc.SOCK_SEQPACKET)), new PacketLink(Pair(Libc.SOCK_SEQPACKET))],
                Mac = [2, 0, 0, 0, 0, 1],
            }),
            VirtioKind.Console => new ConsoleDevice(
                _memory.Ram, new ConsolePort { Name = "c", Input = Pair(Libc.SOCK_STREAM), IsConsole = true }),
            VirtioKind.Vsock => new VsockDevice(_memory.Ram, 3, this, null),
            VirtioKind.Rng => new RngDevice(_memory.Ram, RateLimit.None),
            _ => new BalloonDevice(_memory.Ram, deflatesOnOom: true),
        };
        TestDriver driver = new(device, _memory);
        _open.Add(driver);
        return driver;
    }

    private static ulong Bits(params ReadOnlySpan<int> features)
    {
        ulong all = 0;
        foreach (int feature in features)
            all |= 1UL << feature;
        return all;
    }

    /// <summary>What each is known to do: others must not be offered by accident.</summary>
    private static ulong Expected(VirtioKind kind) => kind switch
    {
        VirtioKind.Block => Bits(
            VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_DISCARD,
            VIRTIO_BLK_F_WRITE_ZEROES),
        VirtioKind.Net => Bits(
            VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_MTU, VIRTIO_NET_F_MAC, VIRTIO_NET_F_GUEST_TSO4,
            VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6,
            VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ),
        VirtioKind.Console => Bits(VIRTIO_CONSOLE_F_SIZE, VIRTIO_CONSOLE_F_MULTIPORT),
        VirtioKind.Balloon => Bits(
            VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_F_DEFLATE_ON_OOM, VIRTIO_BALLOON_F_REPORTING),
        _ => 0,
    };

    [Requirement("2.2.2c")]
    [Requirement("6.2a")]
    [Requirement("6.2c")]
    [Theory, MemberData(nameof(Kinds))]
    public void A_device_offers_what_it_does_and_nothing_else(VirtioKind kind) => Assert.Equal(
        Expected(kind) | Bits(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC),
        Create(kind).OfferedFeatures());

    [Requirement("2.2.2a")]
    [Theory, MemberData(nameof(Kinds))]
    public void All_that_is_offered_may_be_taken_together(VirtioKind kind)
    {
        TestDriver driver = Create(kind);
        driver.Agree(driver.OfferedFeatures());
        Assert.Equal(11, driver.Status);
    }

    /// <summary>
    /// Virtual functions of PCI devices (virtio 1.2, 6), and writing down which pages change (linux/vhost_types.h).
    /// </summary>
    private const int VIRTIO_F_SR_IOV = 37, VHOST_F_LOG_ALL = 26;

    /// <summary>Functions of PCI devices, lists of changed pages: there are none, whatever a driver takes.</summary>
    [Flaw("CVE-2019-14835")]
    [Flaw("CVE-2024-26327")]
    [Theory, MemberData(nameof(Kinds))]
    public void A_feature_that_nobody_offers_is_refused_and_counted(VirtioKind kind)
    {
        TestDriver driver = Create(kind);
        ulong offered = driver.OfferedFeatures();
        int refused = 0;
        foreach (int feature in Enumerable.Range(0, 64).Where(feature => (offered & Bits(feature)) == 0))
        {
            driver.Agree(offered | Bits(feature));
            Assert.Equal(3, driver.Status);
            Assert.Equal(++refused, driver.Device.Metrics.Count(RegisterFault.Features));
        }
        Assert.Equal(0ul, offered & Bits(VIRTIO_F_SR_IOV, VHOST_F_LOG_ALL));
    }

    /// <summary>The only tables that a guest names the length of are its rings.</summary>
    [Flaw("CVE-2023-1544")]
    [Theory, MemberData(nameof(Kinds))]
    public void A_table_is_as_long_as_the_device_has_room_for(VirtioKind kind)
    {
        TestDriver driver = Create(kind);
        driver.Agree(driver.OfferedFeatures());
        int refused = 0;
        for (int queue = 0; queue < driver.Queues.Length; queue++)
        {
            uint most = driver.Queues[queue].Size;
            foreach (uint length in (uint[])[most * 2, most + 1, 0x8000, 0x1_0000, 0x1_0000 + most, uint.MaxValue])
            {
                driver.Enable(queue);
                driver.Write(VIRTIO_MMIO_QUEUE_READY, 0);
                driver.Write(VIRTIO_MMIO_QUEUE_NUM, length);
                driver.Write(VIRTIO_MMIO_QUEUE_READY, 1);
                Assert.Equal((0u, most), (driver.Read(VIRTIO_MMIO_QUEUE_READY), driver.Read(VIRTIO_MMIO_QUEUE_NUM_MAX)));
                Assert.Equal(++refused, driver.Device.Metrics.Count(RegisterFault.Queue));
            }
        }
    }

    // Whatever stands in their queues: what a device does not understand, it counts and leaves.
    [Flaw("end-of-monitor")]
    [Requirement("2.7.5.1a")]
    [Theory, MemberData(nameof(Kinds))]
    public void A_device_survives_whatever_it_is_given(VirtioKind kind)
    {
        TestDriver driver = Create(kind);
        Random random = new(7);
        int resets = 0;
        byte[] before = new byte[Room];
        for (int round = 0; round < 200; round++)
        {
            if (round == 0 || driver.NeedsReset)
            {
                _memory.Clear();
                driver.Start();
                resets++;
            }
            int queue = random.Next(driver.Queues.Length);
            Span<byte> readable = _memory.Bytes(High, (int)Room);
            random.NextBytes(readable[..64]);
            readable.CopyTo(before);
            uint first = (uint)random.Next(1, 64), second = (uint)random.Next(1, 2048);
            driver.Queues[queue].Send((round % 3) switch
            {
                0 => [new Piece(High, first)],
                1 => [new Piece(High + Room, second, true)],
                _ => [new Piece(High, first), new Piece(High + 64, second), new Piece(High + Room, second, true)],
            });
            driver.NotifyAndRun(queue);
            Assert.Equal(before, readable.ToArray());
        }
        Assert.Equal(resets, driver.Device.Metrics.Resets);
        DeviceMetrics metrics = driver.Device.Metrics;
        Assert.Equal(driver.NeedsReset ? resets : resets - 1, metrics.Count(QueueFault.Request));
    }

    // The threads are at work, and what they have begun is over when the status reads as 0.
    [Flaw("reset-in-flight")]
    [Requirement("2.4.1b")]
    [Theory, MemberData(nameof(Kinds))]
    public void Nothing_is_written_after_a_reset(VirtioKind kind)
    {
        TestDriver driver = Create(kind);
        driver.Transport.Start();
        for (int round = 0; round < 50; round++)
        {
            Begin(driver);
            for (int queue = 0; queue < driver.Queues.Length; queue++)
            {
                for (uint i = 0; i < 16; i++)
                    driver.Queues[queue].Send(
                        new Piece(High + (0x100 * i), 64), new Piece(High + Room + (0x100 * i), 64, true));
                driver.Notify(queue);
            }
            driver.Write(VIRTIO_MMIO_STATUS, 0);
            int interrupts = driver.Line.Count;
            _memory.Bytes(TestRam.LowStart, (int)_memory.BytesEach).Fill(0xee);
            _memory.Bytes(High, (int)_memory.BytesEach).Fill(0xee);
            Thread.Yield();
            Assert.Equal(0, driver.Status);
            Assert.Equal(interrupts, driver.Line.Count);
            Assert.False(_memory.Bytes(TestRam.LowStart, (int)_memory.BytesEach).ContainsAnyExcept((byte)0xee));
            Assert.False(_memory.Bytes(High, (int)_memory.BytesEach).ContainsAnyExcept((byte)0xee));
            _memory.Clear();
        }
        Assert.Equal(100, driver.Device.Metrics.Resets);
    }

    // A processor that never stops writing to what the device reads.
    [Flaw("changed-while-read")]
    [Theory, MemberData(nameof(Kinds))]
    public void Rings_that_change_while_they_are_read_do_no_harm(VirtioKind kind)
    {
        TestDriver driver = Create(kind);
        driver.Transport.Start();
        using CancellationTokenSource end = new();
        Thread scribbler = new(() => Scribble(driver, end.Token));
        scribbler.Start();
        int broken = 0;
        for (int round = 0; round < 300; round++)
        {
            Begin(driver);
            for (int queue = 0; queue < driver.Queues.Length; queue++)
            {
                driver.Queues[queue].MakeAvailable((ushort)round);
                driver.Notify(queue);
            }
            Thread.Yield();
            broken += driver.NeedsReset ? 1 : 0;
        }
        end.Cancel();
        scribbler.Join();
        driver.Write(VIRTIO_MMIO_STATUS, 0);
        long faults = Enum.GetValues<QueueFault>().Sum(driver.Device.Metrics.Count);
        // Threads of one device may find out at the same time.
        Assert.InRange(faults, broken, 300 * driver.Device.Workers.Count);
        Assert.Equal(0, driver.Status);
    }

    /// <summary>As <see cref="TestDriver.Start"/>, where the device's own threads do the work.</summary>
    private static void Begin(TestDriver driver)
    {
        driver.Agree(driver.OfferedFeatures());
        for (int queue = 0; queue < driver.Queues.Length; queue++)
            driver.Enable(queue);
        driver.Write(VIRTIO_MMIO_STATUS, 15);
    }

    private static void Scribble(TestDriver driver, CancellationToken end)
    {
        Random random = new(3);
        while (!end.IsCancellationRequested)
        {
            TestQueue queue = driver.Queues[random.Next(driver.Queues.Length)];
            vring_desc descriptor = new()
            {
                addr = random.Next(4) == 0 ? 0xd000_0000 : High + (ulong)random.Next(0x1_0000),
                len = (uint)random.Next(0x100),
                flags = (ushort)random.Next(8),
                next = (ushort)random.Next(queue.Size + 1),
            };
            queue.Descriptor(random.Next(queue.Size)) = descriptor;
            queue.IndirectDescriptor(random.Next(8)) = descriptor;
            if (random.Next(8) == 0)
                queue.AvailableIndex = (ushort)random.Next(4);
        }
    }
}
