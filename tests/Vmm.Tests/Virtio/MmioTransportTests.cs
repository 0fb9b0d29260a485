using Sandbox.Policy.Contract;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Virtio;

/// <summary>
/// Registers and the life of a device. The first part is what virtio 1.2 says that a device must do, and a driver, to
/// which it must not listen otherwise, by section.
/// </summary>
public sealed class MmioTransportTests : IDisposable
{
    private readonly TestRam _memory = new();
    private readonly EchoDevice _device;
    private readonly TestDriver _driver;

    public MmioTransportTests()
    {
        _device = new EchoDevice(_memory.Ram, queues: 2);
        _driver = new TestDriver(_device, _memory);
    }

    public void Dispose()
    {
        _driver.Dispose();
        _memory.Dispose();
    }

    private long Count(RegisterFault fault) => _device.Metrics.Count(fault);

    private const ulong Version1 = 1UL << VIRTIO_F_VERSION_1;

    [Flaw("early-notification")]
    [Requirement("2.1.2a")]
    [Fact]
    public void S2_1_2_no_buffer_is_consumed_before_DRIVER_OK()
    {
        _driver.Agree(_driver.OfferedFeatures());
        _driver.Enable(0);
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4), new Piece(TestRam.HighStart + 8, 4, true));
        _driver.NotifyAndRun(0);
        VirtioDevice.Signal(_device.NotifyFile(0));
        _driver.Run();
        Assert.Equal((0, 0), (_device.Served, _driver.Line.Count));
        Assert.Equal(1, Count(RegisterFault.Notify));
        _driver.Write(VIRTIO_MMIO_STATUS, 15);
        _driver.Run();
        Assert.Equal((1, 1), (_device.Served, _driver.Line.Count));
    }

    [Requirement("2.1.2b")]
    [Fact]
    public void S2_1_2_an_error_state_is_told()
    {
        _driver.Start();
        _driver.Queues[0].MakeAvailable(99);
        _driver.NotifyAndRun(0);
        Assert.Equal(15 | VIRTIO_CONFIG_S_NEEDS_RESET, _driver.Status);
        Assert.Equal((uint)VIRTIO_MMIO_INT_CONFIG, _driver.Read(VIRTIO_MMIO_INTERRUPT_STATUS));
        Assert.Equal(1, _driver.Line.Count);
        Assert.Equal(1, _device.Metrics.Count(QueueFault.HeadIndex));
        // No other queue is served either, until there was a reset.
        _driver.Queues[1].Send(new Piece(TestRam.HighStart, 4));
        _driver.NotifyAndRun(1);
        Assert.Equal(0, _device.Served);
        _memory.Clear();
        _driver.Start();
        Assert.Equal(15, _driver.Status);
        _driver.Queues[1].Send(new Piece(TestRam.HighStart, 4));
        _driver.NotifyAndRun(1);
        Assert.Equal(1, _device.Served);
    }

    // What the driver must not do (2.2.1) it sees when it reads FEATURES_OK back (3.1.1).
    [Requirement("2.2.2b")]
    [Theory]
    [InlineData(Version1 | 1UL << 63)]
    [InlineData(Version1 | 1UL << 40)]
    [InlineData(Version1 | 1UL << 0)]
    [InlineData(1UL << VIRTIO_RING_F_EVENT_IDX)]
    [InlineData(0ul)]
    public void S2_2_1_features_that_were_not_offered_or_are_too_few_are_not_taken(ulong features)
    {
        _driver.Agree(features);
        Assert.Equal(3, _driver.Status);
        Assert.Equal(1, Count(RegisterFault.Features));
        _driver.Write(VIRTIO_MMIO_STATUS, 7);
        _driver.Write(VIRTIO_MMIO_STATUS, 15);
        Assert.Equal((3, 0), (_driver.Status, _device.Activations));
    }

    [Theory]
    [InlineData(Version1)]
    [InlineData(Version1 | 1UL << EchoDevice.Feature)]
    [InlineData(Version1 | 1UL << VIRTIO_RING_F_EVENT_IDX)]
    public void S2_2_2_any_part_of_what_is_offered_is_taken(ulong features)
    {
        Assert.NotEqual(0u, (uint)(_driver.OfferedFeatures() >> VIRTIO_F_VERSION_1) & 1);
        _driver.Agree(features);
        Assert.Equal(11, _driver.Status);
    }

    [Requirement("2.4.1a")]
    [Requirement("2.4.1b")]
    [Requirement("4.2.2.1d")]
    [Fact]
    public void S2_4_1_a_reset_ends_everything()
    {
        _driver.Start();
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4));
        _driver.Notify(0);
        _driver.Write(VIRTIO_MMIO_STATUS, 0);
        _driver.Run();
        Assert.Equal((0, 0, 1), (_device.Served, _driver.Status, _device.ResetCount));
        Assert.Equal(0, _driver.Queues[0].UsedIndex);
        Assert.Equal(0, _driver.Line.Count);
        _device.Change(4, 5);
        Assert.Equal(0, _driver.Line.Count);
        Assert.False(_device.Queues[0].IsReady);
        _driver.Write(VIRTIO_MMIO_QUEUE_SEL, 0);
        Assert.Equal(0u, _driver.Read(VIRTIO_MMIO_QUEUE_READY));
        Assert.Equal(0u, _driver.Read(VIRTIO_MMIO_INTERRUPT_STATUS));
    }

    [Requirement("2.5.2a")]
    [Fact]
    public void S2_5_2_configuration_is_readable_from_the_start()
    {
        Assert.Equal(0x1122_3344_5566_7788UL, _driver.Configuration<ulong>(0));
        Assert.Equal(0x5566_7788u, _driver.Configuration<uint>(0));
        Assert.Equal(0x7788, _driver.Configuration<ushort>(0));
        Assert.Equal(0x11, _driver.Configuration<byte>(7));
        Assert.Equal(0, _driver.Configuration<byte>(16));
        Assert.Equal(0ul, _driver.Configuration<ulong>(0xf8));
        Assert.Equal(0u, _driver.Configuration<uint>(14));
    }

    // 3.1.1: the steps have an order.
    [Flaw("skipped-step")]
    [Theory]
    [InlineData(2)]
    [InlineData(3)] // two steps at once
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(15)]
    [InlineData(1, 5)]
    [InlineData(1, 9)]
    [InlineData(1, 11)]
    [InlineData(1, 3, 7)]
    [InlineData(1, 3, 15)]
    [InlineData(1, 2)] // a bit is cleared (2.1.1)
    [InlineData(1, 3, 1)]
    [InlineData(1, 0x10)] // no such bits
    [InlineData(1, 0x21)]
    [InlineData(0x100)]
    [InlineData(1, -1)]
    public void S3_1_1_steps_that_are_skipped_are_not_taken(params int[] writes)
    {
        uint before = 0;
        for (int i = 0; i < writes.Length; i++)
        {
            if (i == writes.Length - 1)
                before = (uint)_driver.Status;
            _driver.Write(VIRTIO_MMIO_STATUS, (uint)writes[i]);
        }
        Assert.Equal(before, (uint)_driver.Status);
        Assert.Equal(1, Count(RegisterFault.Status));
        Assert.Equal(0, _device.Activations);
    }

    // 3.1.1: features only between DRIVER and FEATURES_OK.
    [Fact]
    public void S3_1_1_features_are_frozen_by_FEATURES_OK()
    {
        _driver.Write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
        _driver.Write(VIRTIO_MMIO_STATUS, 1);
        _driver.Write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
        Assert.Equal(2, Count(RegisterFault.Frozen));
        _driver.Agree(Version1);
        _driver.Write(VIRTIO_MMIO_DRIVER_FEATURES, 0);
        Assert.Equal(3, Count(RegisterFault.Frozen));
        _driver.Write(VIRTIO_MMIO_STATUS, 15);
        _driver.Write(VIRTIO_MMIO_DRIVER_FEATURES, 0);
        Assert.Equal(4, Count(RegisterFault.Frozen));
        Assert.Equal(Version1, _driver.Transport.Save().DriverFeatures);
    }

    // 3.1.1, 4.2.2.2: queues are set up between FEATURES_OK and DRIVER_OK, and not while QueueReady.
    [Flaw("rewritten-queue")]
    [Theory]
    [InlineData(VIRTIO_MMIO_QUEUE_NUM)]
    [InlineData(VIRTIO_MMIO_QUEUE_READY)]
    [InlineData(VIRTIO_MMIO_QUEUE_DESC_LOW)]
    [InlineData(VIRTIO_MMIO_QUEUE_DESC_HIGH)]
    [InlineData(VIRTIO_MMIO_QUEUE_AVAIL_LOW)]
    [InlineData(VIRTIO_MMIO_QUEUE_AVAIL_HIGH)]
    [InlineData(VIRTIO_MMIO_QUEUE_USED_LOW)]
    [InlineData(VIRTIO_MMIO_QUEUE_USED_HIGH)]
    public void S4_2_2_2_queues_are_frozen_before_and_after(int register)
    {
        _driver.Write(register, 1);
        _driver.Write(VIRTIO_MMIO_STATUS, 1);
        _driver.Write(register, 1);
        _driver.Write(VIRTIO_MMIO_STATUS, 3);
        _driver.Write(register, 1);
        Assert.Equal(3, Count(RegisterFault.Frozen));
        _driver.Start();
        QueueState before = _device.Queues[1].Save();
        _driver.Write(VIRTIO_MMIO_QUEUE_SEL, 1);
        _driver.Write(register, 0);
        _driver.Write(register, 0xffffffff);
        Assert.Equal(5, Count(RegisterFault.Frozen));
        Assert.Equal(before, _device.Queues[1].Save());
    }

    [Fact]
    public void S4_2_2_2_a_queue_that_is_ready_is_frozen_and_can_be_taken_back()
    {
        _driver.Agree(Version1);
        _driver.Enable(0);
        _driver.Write(VIRTIO_MMIO_QUEUE_NUM, 2);
        Assert.Equal(1, Count(RegisterFault.Frozen));
        Assert.Equal(8, _device.Queues[0].Size);
        _driver.Write(VIRTIO_MMIO_QUEUE_READY, 0);
        Assert.Equal(0u, _driver.Read(VIRTIO_MMIO_QUEUE_READY));
        _driver.Write(VIRTIO_MMIO_QUEUE_NUM, 2);
        _driver.Write(VIRTIO_MMIO_QUEUE_READY, 1);
        Assert.Equal(1u, _driver.Read(VIRTIO_MMIO_QUEUE_READY));
        Assert.Equal(2, _device.Queues[0].Size);
    }

    [Requirement("4.2.2.1a")]
    [Requirement("4.2.2.1b")]
    [Fact]
    public void S4_2_2_1_the_registers_say_what_this_is()
    {
        Assert.Equal(0x74726976u, _driver.Read(VIRTIO_MMIO_MAGIC_VALUE));
        Assert.Equal(2u, _driver.Read(VIRTIO_MMIO_VERSION));
        Assert.Equal((uint)EchoDevice.Kind, _driver.Read(VIRTIO_MMIO_DEVICE_ID));
        Assert.Equal(0x584f4253u, _driver.Read(VIRTIO_MMIO_VENDOR_ID));
    }

    // 4.2.2: DeviceFeatures is selected by DeviceFeaturesSel * 32; what does not exist is 0.
    [Theory]
    [InlineData(2u)]
    [InlineData(3u)]
    [InlineData(uint.MaxValue)]
    public void S4_2_2_features_that_do_not_exist_are_zero(uint selector)
    {
        _driver.Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, selector);
        Assert.Equal(0u, _driver.Read(VIRTIO_MMIO_DEVICE_FEATURES));
        _driver.Write(VIRTIO_MMIO_STATUS, 1);
        _driver.Write(VIRTIO_MMIO_STATUS, 3);
        _driver.Write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, selector);
        _driver.Write(VIRTIO_MMIO_DRIVER_FEATURES, 0);
        Assert.Equal(0, Count(RegisterFault.Features));
        _driver.Write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
        Assert.Equal(1, Count(RegisterFault.Features));
    }

    // 4.2.2: QueueSizeMax is 0 where there is no queue.
    [Theory]
    [InlineData(0u, 8u)]
    [InlineData(1u, 8u)]
    [InlineData(2u, 0u)]
    [InlineData(0x8000_0000u, 0u)]
    [InlineData(uint.MaxValue, 0u)]
    public void S4_2_2_queues_that_do_not_exist_have_no_size(uint selector, uint size)
    {
        _driver.Agree(Version1);
        _driver.Write(VIRTIO_MMIO_QUEUE_SEL, selector);
        Assert.Equal(size, _driver.Read(VIRTIO_MMIO_QUEUE_NUM_MAX));
        Assert.Equal(0u, _driver.Read(VIRTIO_MMIO_QUEUE_READY));
        if (size != 0)
            return;
        _driver.Write(VIRTIO_MMIO_QUEUE_NUM, 8);
        _driver.Write(VIRTIO_MMIO_QUEUE_READY, 1);
        Assert.Equal(2, Count(RegisterFault.Queue));
    }

    // 4.2.2: what shared memory there is not is this long.
    [Fact]
    public void S4_2_2_there_is_no_shared_memory()
    {
        _driver.Write(VIRTIO_MMIO_SHM_SEL, 0);
        Assert.Equal(uint.MaxValue, _driver.Read(VIRTIO_MMIO_SHM_LEN_LOW));
        Assert.Equal(uint.MaxValue, _driver.Read(VIRTIO_MMIO_SHM_LEN_HIGH));
        Assert.Equal(uint.MaxValue, _driver.Read(VIRTIO_MMIO_SHM_BASE_LOW));
        Assert.Equal(uint.MaxValue, _driver.Read(VIRTIO_MMIO_SHM_BASE_HIGH));
        Assert.Equal(0, Count(RegisterFault.Access));
    }

    [Requirement("4.2.2.1c")]
    [Fact]
    public void S4_2_2_interrupts_stay_until_they_are_acknowledged()
    {
        _driver.Start(Version1);
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4));
        _driver.NotifyAndRun(0);
        _device.Change(4, 7);
        Assert.Equal(3u, _driver.Read(VIRTIO_MMIO_INTERRUPT_STATUS));
        Assert.Equal(2, _driver.Line.Count);
        _driver.Write(VIRTIO_MMIO_INTERRUPT_ACK, 1);
        Assert.Equal(2u, _driver.Read(VIRTIO_MMIO_INTERRUPT_STATUS));
        _driver.Write(VIRTIO_MMIO_INTERRUPT_ACK, 0xfffffffe);
        Assert.Equal(0u, _driver.Read(VIRTIO_MMIO_INTERRUPT_STATUS));
    }

    [Requirement("4.2.2.1e")]
    [Fact]
    public void S4_2_2_1_the_generation_changes_with_the_configuration()
    {
        uint before = _driver.Read(VIRTIO_MMIO_CONFIG_GENERATION);
        _device.Change(4, 0x99);
        Assert.NotEqual(before, _driver.Read(VIRTIO_MMIO_CONFIG_GENERATION));
        Assert.Equal(0x99u, _driver.Configuration<uint>(4));
    }

    // 4.2.2.2: registers are read and written as a whole. A guest reads memory, of which it gets what it asks for.
    [Flaw("odd-access")]
    [Theory]
    [InlineData(0, 1, 0x76)]
    [InlineData(0, 2, 0x6976)]
    [InlineData(0, 8, 0x2_7472_6976)]
    [InlineData(1, 1, 0x69)]
    [InlineData(2, 4, 0x2_7472)]
    [InlineData(0x70, 8, 0)]
    [InlineData(0xff, 1, 0)]
    [InlineData(0xfd, 4, 0x8800_0000)] // straddles into the configuration
    public void S4_2_2_2_reads_of_other_lengths_give_the_bytes_that_are_there(int offset, int length, long expected)
    {
        byte[] data = new byte[length];
        data.AsSpan().Fill(0xaa);
        _driver.Transport.Read((ulong)offset, data);
        byte[] all = new byte[sizeof(long)];
        data.CopyTo(all, 0);
        Assert.Equal(expected, BitConverter.ToInt64(all));
    }

    [Flaw("odd-access")]
    [Theory]
    [InlineData(0x14)] // write-only
    [InlineData(0x20)]
    [InlineData(0x50)]
    [InlineData(0x80)]
    [InlineData(0x28)] // the old layout's
    [InlineData(0x3c)]
    [InlineData(0x40)]
    [InlineData(0xc0)] // VIRTIO_F_RING_RESET is not offered
    [InlineData(0xf8)]
    public void S4_2_2_2_registers_that_are_not_read_are_zero(int register)
    {
        _driver.Write(register, 1);
        Assert.Equal(0u, _driver.Read(register));
    }

    [Flaw("odd-access")]
    [Theory]
    [InlineData(0x70, 1)]
    [InlineData(0x70, 2)]
    [InlineData(0x70, 8)]
    [InlineData(0x6e, 4)]
    [InlineData(0x00, 4)] // read-only
    [InlineData(0x60, 4)]
    [InlineData(0xfc, 4)]
    [InlineData(0x28, 4)]
    [InlineData(0xc0, 4)]
    public void S4_2_2_2_writes_that_are_none_change_nothing(int offset, int length)
    {
        byte[] data = new byte[length];
        data[0] = 1;
        _driver.Transport.Write((ulong)offset, data);
        Assert.Equal(0, _driver.Status);
        Assert.Equal(1, Count(RegisterFault.Access));
    }

    // 4.2.3.3: a notification names the queue.
    [Flaw("early-notification")]
    [Theory]
    [InlineData(2u)]
    [InlineData(0x10000u)]
    [InlineData(uint.MaxValue)]
    public void S4_2_3_3_notifications_of_no_queue_do_nothing(uint queue)
    {
        _driver.Start();
        _driver.Write(VIRTIO_MMIO_QUEUE_NOTIFY, queue);
        _driver.Run();
        Assert.Equal(1, Count(RegisterFault.Notify));
    }

    [Fact]
    public void S6_only_what_is_implemented_is_offered() =>
        Assert.Equal(
            Version1 | 1UL << VIRTIO_RING_F_EVENT_IDX | 1UL << VIRTIO_RING_F_INDIRECT_DESC | 1UL << EchoDevice.Feature,
            _driver.OfferedFeatures());

    [Requirement("4.2.2.1f")]
    [Fact]
    public void S4_2_2_1_a_queue_that_is_not_ready_is_not_touched()
    {
        _driver.Agree(_driver.OfferedFeatures());
        _driver.Enable(0);
        _driver.Enable(1);
        _driver.Write(VIRTIO_MMIO_QUEUE_SEL, 1);
        _driver.Write(VIRTIO_MMIO_QUEUE_READY, 0);
        TestQueue queue = _driver.Queues[1];
        Span<byte> used = _memory.Bytes(queue.Used, 4 + (8 * queue.Size) + 2);
        used.Fill(0xaa);
        queue.Send(new Piece(TestRam.HighStart, 4), new Piece(TestRam.HighStart + 8, 4, true));
        _driver.Write(VIRTIO_MMIO_STATUS, 15);
        _driver.NotifyAndRun(1);
        VirtioDevice.Signal(_device.NotifyFile(1));
        _driver.Run();
        Assert.Equal((0, 1), (_device.Served, Count(RegisterFault.Notify)));
        Assert.All(used.ToArray(), value => Assert.Equal(0xaa, value));
    }

    [Requirement("2.7.10.2c")]
    [Fact]
    public void S2_7_10_2_notifications_of_nothing_do_no_harm()
    {
        _driver.Start();
        for (int i = 0; i < 1000; i++)
            _driver.NotifyAndRun(i % 2);
        Assert.Equal((0, 0, 15), (_device.Served, _driver.Line.Count, _driver.Status));
        Assert.Equal(1000, _device.Metrics.Notifications);
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4));
        _driver.NotifyAndRun(0);
        Assert.Equal(1, _device.Served);
    }

    [Fact]
    public void Requests_are_served_with_and_without_a_notification_by_register()
    {
        _driver.Start();
        TestQueue queue = _driver.Queues[1];
        _memory.Bytes(TestRam.HighStart, 4).Fill(9);
        queue.Send(new Piece(TestRam.HighStart, 4), new Piece(TestRam.HighStart + 8, 4, true));
        _driver.NotifyAndRun(1);
        Assert.Equal(9, _memory.At<byte>(TestRam.HighStart + 11));
        Assert.Equal(1, queue.UsedIndex);
        queue.Send(new Piece(TestRam.HighStart, 4));
        // As KVM does for an ioeventfd.
        VirtioDevice.Signal(_driver.Transport.NotifyFile(1));
        _driver.Run();
        Assert.Equal(2, queue.UsedIndex);
        Assert.Equal(2, _device.Metrics.LatencyByQueue[1].Count);
    }

    [Fact]
    public void Every_size_and_address_that_is_refused_leaves_the_queue_not_ready()
    {
        _driver.Agree(Version1);
        foreach ((int register, uint value) in ((int, uint)[])
            [(VIRTIO_MMIO_QUEUE_NUM, 0), (VIRTIO_MMIO_QUEUE_NUM, 3), (VIRTIO_MMIO_QUEUE_NUM, 16),
            (VIRTIO_MMIO_QUEUE_NUM, 0x10008), (VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xffffffff),
            (VIRTIO_MMIO_QUEUE_AVAIL_LOW, 3), (VIRTIO_MMIO_QUEUE_USED_LOW, 0)])
        {
            _driver.Enable(0);
            _driver.Write(VIRTIO_MMIO_QUEUE_READY, 0);
            _driver.Write(register, value);
            long before = Count(RegisterFault.Queue);
            _driver.Write(VIRTIO_MMIO_QUEUE_READY, 1);
            Assert.Equal(before + 1, Count(RegisterFault.Queue));
            Assert.Equal(0u, _driver.Read(VIRTIO_MMIO_QUEUE_READY));
        }
        _driver.Enable(0);
        _driver.Write(VIRTIO_MMIO_QUEUE_READY, 0);
        _driver.Write(VIRTIO_MMIO_QUEUE_READY, 2);
        Assert.Equal(0u, _driver.Read(VIRTIO_MMIO_QUEUE_READY));
    }

    [Fact]
    public void Configuration_is_written_where_it_may_be_and_when()
    {
        _driver.Write(VIRTIO_MMIO_CONFIG, 5);
        Assert.Equal(1, Count(RegisterFault.Frozen));
        _driver.Write(VIRTIO_MMIO_STATUS, 1);
        _driver.Write(VIRTIO_MMIO_STATUS, 3);
        uint before = _driver.Read(VIRTIO_MMIO_CONFIG_GENERATION);
        _driver.Write(VIRTIO_MMIO_CONFIG, 5);
        Assert.Equal(5u, _driver.Configuration<uint>(0));
        Assert.Equal(before, _driver.Read(VIRTIO_MMIO_CONFIG_GENERATION));
        foreach (ulong offset in (ulong[])[0x104, 0x102, 0x10e, 0x110, 0x1fc, 0x1000, ulong.MaxValue - 3])
            _driver.Transport.Write(offset, [1, 2, 3, 4]);
        Assert.Equal(8, Count(RegisterFault.Frozen));
        Assert.Equal(0x1122_3344_0000_0005UL, _driver.Configuration<ulong>(0));
        byte[] far = [1, 1];
        _driver.Transport.Read(ulong.MaxValue - 1, far);
        Assert.Equal([0, 0], far);
    }

    [Fact]
    public void FAILED_may_be_set_at_any_time_and_only_a_reset_helps()
    {
        _driver.Write(VIRTIO_MMIO_STATUS, 1);
        _driver.Write(VIRTIO_MMIO_STATUS, 0x81);
        _driver.Write(VIRTIO_MMIO_STATUS, 0x83);
        Assert.Equal(0x81, _driver.Status);
        Assert.Equal(1, Count(RegisterFault.Status));
        _driver.Start();
        Assert.Equal(15, _driver.Status);
    }

    [Fact]
    public void A_request_is_put_off_and_served_when_its_time_has_come()
    {
        _driver.Start();
        _device.NotBefore = Sandbox.Host.HostClock.MonotonicNanoseconds() + 20_000_000;
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4));
        _driver.NotifyAndRun(0);
        Assert.Equal(0, _device.Served);
        while (!_device.Workers[0].RunOnce(1000))
        {
        }
        Assert.Equal(1, _device.Served);
        Assert.True(Sandbox.Host.HostClock.MonotonicNanoseconds() >= _device.NotBefore);
    }

    [Flaw("lost-notification")]
    [Fact]
    public void A_paused_device_serves_nothing_and_misses_nothing()
    {
        _driver.Start();
        _driver.Transport.Pause();
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4));
        _driver.NotifyAndRun(0);
        Assert.Equal(0, _device.Served);
        Assert.Equal(1, _device.Metrics.Notifications);
        _driver.Transport.Pause();
        _driver.Transport.Resume();
        _driver.Run();
        Assert.Equal(1, _device.Served);
        _driver.Transport.Resume();
        _driver.Transport.Pause();
        _driver.Start();
        _driver.Queues[0].AvailableIndex = 0;
        _driver.Transport.Resume();
        _driver.Run();
        Assert.Equal(2, _device.Activations);
    }

    [Flaw("lost-notification")]
    [Fact]
    public void A_saved_device_goes_on_in_another()
    {
        _driver.Start();
        TestQueue queue = _driver.Queues[0];
        queue.Send(new Piece(TestRam.HighStart, 4));
        _driver.NotifyAndRun(0);
        queue.Send(new Piece(TestRam.HighStart, 4));
        _driver.Notify(0);
        _driver.Transport.Pause();
        TransportState state = _driver.Transport.Save();

        EchoDevice device = new(_memory.Ram, queues: 2);
        using TestDriver other = new(device, _memory);
        other.Transport.Pause();
        Assert.True(other.Transport.TryRestore(state));
        Assert.Equal(15, other.Status);
        Assert.Equal(1u, other.Read(VIRTIO_MMIO_INTERRUPT_STATUS));
        other.Run();
        Assert.Equal(0, device.Served);
        other.Transport.Resume();
        other.Run();
        Assert.Equal((1, 2), (device.Served, queue.UsedIndex));
    }

    [Flaw("RUSTSEC-2023-0030")]
    [Flaw("RUSTSEC-2024-0002")]
    [Flaw("saved-state")]
    [Fact]
    public void A_state_that_no_device_has_is_refused()
    {
        _driver.Start();
        _driver.Transport.Pause();
        TransportState state = _driver.Transport.Save();
        EchoDevice device = new(_memory.Ram, queues: 2);
        using TestDriver other = new(device, _memory);
        foreach (TransportState wrong in (TransportState[])
        [
            state with { Status = 7 }, state with { Status = 0x115 }, state with { Status = 3 },
            state with { DriverFeatures = 0 }, state with { DriverFeatures = ulong.MaxValue },
            state with { InterruptStatus = 4 }, state with { Queues = [] }, state with { Queues = [state.Queues[0]] },
            state with { Queues = [state.Queues[0], state.Queues[1] with { Size = 9 }] },
            state with { Queues = [state.Queues[0], state.Queues[1] with { Used = 0 }] },
        ])
        {
            Assert.False(other.Transport.TryRestore(wrong));
            Assert.Equal((0, 0), (other.Status, device.Activations));
            Assert.All(device.Queues, queue => Assert.False(queue.IsReady));
        }
    }

    [Fact]
    public void Metrics_have_names()
    {
        _driver.Write(VIRTIO_MMIO_STATUS, 99);
        DeviceRecord record = default;
        _device.Metrics.Write(ref record, VirtioKind.Rng);
        Assert.Equal((VirtioKind.Rng, 2UL), (record.Kind, record.QueueCount));
        Assert.Equal(1UL, record.RegisterFaults[(int)RegisterFault.Status]);
        Assert.Equal(0UL, record.QueueFaults[0]);
        Assert.Equal(0UL, record.Queues[1].SumNanoseconds);
    }
}
