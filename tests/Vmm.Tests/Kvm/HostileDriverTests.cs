using Sandbox.Host;
using Sandbox.Vmm.Devices.Rng;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Kvm;

/// <summary>Drivers in real guests, at CPL 3, against a device with its own thread.</summary>
public sealed class HostileDriverTests : IDisposable
{
    private const ulong Data = TestRam.LowStart + 0x4_0000;
    private const ulong Loads = TestRam.LowStart + 0x8_0000;

    private readonly TestRam _ram = new();
    private readonly TestDriver _driver;
    private readonly UserModeDriver _guest;

    public HostileDriverTests()
    {
        _driver = new TestDriver(new RngDevice(_ram.Ram, RateLimit.None), _ram);
        try
        {
            FileDescriptor kvm = FileDescriptor.Open("/dev/kvm", Libc.O_RDWR);
            _guest = new UserModeDriver(kvm, _ram, _driver.Transport);
        }
        catch (HostException refused)
        {
            Assert.Skip(refused.Message);
            throw;
        }
        _driver.Transport.Start();
    }

    public void Dispose()
    {
        _guest?.Dispose();
        _driver.Dispose();
        _ram.Dispose();
    }

    private TestQueue Queue => _driver.Queues[0];

    private DeviceMetrics Metrics => _driver.Device.Metrics;

    private void Initialise()
    {
        ulong features = _driver.Device.Features;
        _guest.Store(VIRTIO_MMIO_STATUS, 0).Store(VIRTIO_MMIO_STATUS, 1).Store(VIRTIO_MMIO_STATUS, 3)
            .Store(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0).Store(VIRTIO_MMIO_DRIVER_FEATURES, (uint)features)
            .Store(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1).Store(VIRTIO_MMIO_DRIVER_FEATURES, (uint)(features >> 32))
            .Store(VIRTIO_MMIO_STATUS, 11).Load(VIRTIO_MMIO_STATUS, Loads)
            .Store(VIRTIO_MMIO_QUEUE_SEL, 0).Load(VIRTIO_MMIO_QUEUE_NUM_MAX, Loads + 4)
            .Store(VIRTIO_MMIO_QUEUE_NUM, Queue.Size)
            .Store(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint)Queue.Descriptors).Store(VIRTIO_MMIO_QUEUE_DESC_HIGH, 0)
            .Store(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint)Queue.Available).Store(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0)
            .Store(VIRTIO_MMIO_QUEUE_USED_LOW, (uint)Queue.Used).Store(VIRTIO_MMIO_QUEUE_USED_HIGH, 0)
            .Store(VIRTIO_MMIO_QUEUE_READY, 1).Store(VIRTIO_MMIO_STATUS, 15);
    }

    [Fact]
    public void A_driver_at_CPL_3_starts_the_device_and_is_served()
    {
        Initialise();
        Queue.Send(new Piece(Data, 64, true));
        _guest.Load(VIRTIO_MMIO_MAGIC_VALUE, Loads + 8)
            .Store(VIRTIO_MMIO_QUEUE_NOTIFY, 0).WaitFor(Queue.Used + 2, 1)
            .Run();
        Assert.Equal((11u, 64u), (_ram.At<uint>(Loads), _ram.At<uint>(Loads + 4)));
        Assert.Equal((0x74726976u, 64u), (_ram.At<uint>(Loads + 8), Queue.UsedElement(0).len));
        Assert.InRange(_ram.Bytes(Data, 64).Count((byte)0), 0, 16);
        Assert.Equal(1, Metrics.LatencyByQueue[0].Count);
    }

    [Fact]
    public void Thousands_of_requests_one_after_the_other_are_all_served()
    {
        Initialise();
        Queue.Descriptor(0) = TestQueue.Make(new Piece(Data, 8, true), false, 0);
        _guest.Repeat(2000, VIRTIO_MMIO_QUEUE_NOTIFY, Queue.Available + 2, Queue.Used + 2).Run();
        Assert.Equal(2000, Metrics.LatencyByQueue[0].Count);
        Assert.Equal(0, Metrics.Count(QueueFault.AvailableIndex));
    }

    [Flaw("rewritten-queue")]
    [Fact]
    public void Registers_rewritten_after_DRIVER_OK_change_nothing()
    {
        Initialise();
        Queue.Send(new Piece(Data, 64, true));
        foreach (uint value in (uint[])[0, 1, 3, 0x8000, 0xffff_ffff])
            _guest.Store(VIRTIO_MMIO_QUEUE_NUM, value).Store(VIRTIO_MMIO_QUEUE_DESC_LOW, value)
                .Store(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value).Store(VIRTIO_MMIO_QUEUE_USED_LOW, value)
                .Store(VIRTIO_MMIO_QUEUE_READY, value).Store(VIRTIO_MMIO_DRIVER_FEATURES, value);
        _guest.Store(VIRTIO_MMIO_QUEUE_NOTIFY, 0).WaitFor(Queue.Used + 2, 1).Run();
        Assert.Equal(30, Metrics.Count(RegisterFault.Frozen));
        Assert.False(_driver.NeedsReset);
    }

    [Flaw("odd-access")]
    [Fact]
    public void Accesses_of_all_sizes_everywhere_are_answered()
    {
        Initialise();
        for (int offset = 0; offset < 0x200; offset += 3)
            foreach (int bytes in (int[])[1, 2, 4, 8])
                if (offset % 0x1000 + bytes <= 0x200 && offset is not (0x70 or 0x50))
                    _guest.Store(offset, 0xffff_ffff, bytes);
        Queue.Send(new Piece(Data, 64, true));
        _guest.Store(VIRTIO_MMIO_QUEUE_NOTIFY, 0).WaitFor(Queue.Used + 2, 1).Run();
        Assert.InRange(Metrics.Count(RegisterFault.Access), 100, 1000);
        Assert.Equal(15, _driver.Status);
    }

    [Flaw("early-notification")]
    [Fact]
    public void Notifications_before_activation_and_of_no_queue_are_counted()
    {
        for (uint queue = 0; queue < 100; queue++)
            _guest.Store(VIRTIO_MMIO_QUEUE_NOTIFY, queue * 0x0101_0101);
        _guest.Run();
        Assert.Equal(100, Metrics.Count(RegisterFault.Notify));
        Assert.Equal(0, _driver.Line.Count);
    }

    [Flaw("registers")]
    [Flaw("wrapping-address")]
    [Theory]
    [InlineData(0xd000_0050ul, QueueFault.NotRam)] // the device's own registers
    [InlineData(0xfee0_0000ul, QueueFault.NotRam)]
    [InlineData(0x2000ul, QueueFault.NotRam)] // the guest's page tables are no RAM of devices here
    [InlineData(0xffff_ffff_ffff_ffc0ul, QueueFault.NotRam)]
    public void Buffers_that_are_no_RAM_break_the_device_and_nothing_else(ulong address, QueueFault fault)
    {
        Initialise();
        Queue.Send(new Piece(address, 64, true));
        _guest.Store(VIRTIO_MMIO_QUEUE_NOTIFY, 0).Run();
        Assert.True(SpinWait.SpinUntil(() => _driver.NeedsReset, TimeSpan.FromSeconds(20)));
        Assert.Equal(1, Metrics.Count(fault));
        // A reset, and it serves again.
        _ram.Clear();
        Initialise();
        _ram.Bytes(Queue.Descriptors, 16).Clear();
        Queue.Descriptor(5) = TestQueue.Make(new Piece(Data, 64, true), false, 0);
        Queue.MakeAvailable(5);
        _guest.Store(VIRTIO_MMIO_QUEUE_NOTIFY, 0).WaitFor(Queue.Used + 2, 1).Run();
        Assert.False(_driver.NeedsReset);
    }

    [Flaw("changed-while-read")]
    [Flaw("reset-in-flight")]
    [Flaw("end-of-monitor")]
    [Fact]
    public void Rings_that_change_while_they_are_read_and_resets_in_flight_do_no_harm()
    {
        using CancellationTokenSource done = new();
        // Another "vCPU": scribbles over rings and descriptors, for as long as the first resets and notifies.
        Thread scribbler = new(() =>
        {
            Random random = new(7);
            while (!done.IsCancellationRequested)
            {
                Queue.Descriptor(random.Next(8)) = TestQueue.Make(
                    new Piece(Data + (ulong)random.Next(0x1000), (uint)random.Next(0, 5000), random.Next(4) > 0),
                    random.Next(2) == 0, (ushort)random.Next(10));
                Queue.AvailableIndex = (ushort)random.Next(3);
            }
        });
        scribbler.Start();
        for (int round = 0; round < 50; round++)
        {
            Initialise();
            for (int i = 0; i < 4; i++)
                _guest.Store(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
            _guest.Store(VIRTIO_MMIO_STATUS, 0).Run();
            Assert.Equal(0, _driver.Status);
        }
        done.Cancel();
        scribbler.Join();
        Assert.Equal(100, Metrics.Resets);
    }
}
