using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Devices.Balloon;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Devices;

public sealed class BalloonTests : IDisposable
{
    private const ulong List = TestRam.HighStart;
    private const ulong Page0 = TestRam.HighStart + 0x8_0000;
    private const uint Number0 = (uint)(Page0 >> 12);

    private readonly TestRam _memory = new();
    private readonly BalloonDevice _device;
    private readonly TestDriver _driver;

    public BalloonTests()
    {
        _device = new BalloonDevice(_memory.Ram, deflatesOnOom: true);
        _driver = new TestDriver(_device, _memory).Start();
    }

    public void Dispose()
    {
        _driver.Dispose();
        _memory.Dispose();
    }

    private BalloonMetrics Metrics => (BalloonMetrics)_device.Metrics;

    private void SendPages(int queue, params uint[] numbers)
    {
        for (int i = 0; i < numbers.Length; i++)
            _memory.At<uint>(List + (4u * (uint)i)) = numbers[i];
        _driver.Queues[queue].Send(new Piece(List, 4 * (uint)numbers.Length));
        _driver.NotifyAndRun(queue);
    }

    private void SendStatistics(params (ushort Tag, ulong Value)[] statistics)
    {
        for (int i = 0; i < statistics.Length; i++)
            _memory.At<virtio_balloon_stat>(List + (10u * (uint)i)) =
                new virtio_balloon_stat { tag = statistics[i].Tag, val = statistics[i].Value };
        _driver.Queues[2].Send(new Piece(List, 10 * (uint)statistics.Length));
        _driver.NotifyAndRun(2);
    }

    [Flaw("FC-5793")]
    [Fact]
    public void Pages_in_the_balloon_go_back_to_the_host()
    {
        for (uint i = 0; i < 8; i++)
            _memory.At<ulong>(Page0 + (i << 12)) = 7;
        SendPages(0, Number0 + 1, Number0 + 2, Number0 + 5);
        for (uint i = 0; i < 8; i++)
            Assert.Equal(i is 1 or 2 or 5 ? 0ul : 7ul, _memory.At<ulong>(Page0 + (i << 12)));
        Assert.Equal((3, 0), (Metrics.Inflated, Metrics.Refused));
        Assert.Equal(1, _driver.Queues[0].UsedIndex);
        SendPages(1, Number0 + 1);
        Assert.Equal(1, Metrics.Deflated);
    }

    [Requirement("2.7.4.1a")]
    [Fact]
    public void Lists_may_be_in_any_pieces()
    {
        for (uint i = 0; i < 8; i++)
            _memory.At<ulong>(Page0 + (i << 12)) = 7;
        (_memory.At<uint>(List), _memory.At<uint>(List + 4)) = (Number0 + 1, Number0 + 5);
        _driver.Queues[0].Send(new Piece(List, 3), new Piece(List + 3, 4), new Piece(List + 7, 1));
        _driver.NotifyAndRun(0);
        for (uint i = 0; i < 8; i++)
            Assert.Equal(i is 1 or 5 ? 0ul : 7ul, _memory.At<ulong>(Page0 + (i << 12)));
        _memory.At<virtio_balloon_stat>(List) = new virtio_balloon_stat { tag = 4, val = 0x0102_0304_0506_0708 };
        _driver.Queues[2].Send(new Piece(List, 1), new Piece(List + 1, 5), new Piece(List + 6, 4));
        _driver.NotifyAndRun(2);
        Assert.Equal(0x0102_0304_0506_0708ul, _device.Statistics()[4]);
    }

    [Flaw("FC-5793")]
    [Fact]
    public void Pages_that_are_no_RAM_are_refused_and_others_are_not_touched()
    {
        _memory.At<ulong>(Page0) = 7;
        SendPages(0, 0, uint.MaxValue, 0xfee00, (uint)((TestRam.LowStart + _memory.BytesEach) >> 12));
        Assert.Equal((4, 4), (Metrics.Inflated, Metrics.Refused));
        Assert.Equal(7ul, _memory.At<ulong>(Page0));
        Assert.False(_driver.NeedsReset);
    }

    [Fact]
    public void Runs_that_leave_RAM_go_back_not_at_all()
    {
        uint last = (uint)((TestRam.HighStart + _memory.BytesEach) >> 12) - 1;
        _memory.At<ulong>((ulong)last << 12) = 7;
        SendPages(0, last, last + 1);
        Assert.Equal(2, Metrics.Refused);
        Assert.Equal(7ul, _memory.At<ulong>((ulong)last << 12));
    }

    [Fact]
    public void Reported_free_memory_goes_back_in_whole_pages()
    {
        for (uint i = 0; i < 4; i++)
            _memory.At<ulong>(Page0 + (i << 12) + 0x800) = 7;
        _driver.Queues[3].Send(new Piece(Page0 + 0x100, 0x2000, true), new Piece(Page0 + 0x3000, 0x1000, true));
        _driver.NotifyAndRun(3);
        Assert.Equal(7ul, _memory.At<ulong>(Page0 + 0x800));
        Assert.Equal(0ul, _memory.At<ulong>(Page0 + 0x1800));
        Assert.Equal(7ul, _memory.At<ulong>(Page0 + 0x2800));
        Assert.Equal(0ul, _memory.At<ulong>(Page0 + 0x3800));
        Assert.Equal(0x2000, Metrics.ReportedBytes);
    }

    [Requirement("5.5.6.3.2a")]
    [Requirement("5.5.6.3.2b")]
    [Fact]
    public void Statistics_come_when_they_are_wanted()
    {
        SendStatistics((4, 1000), (5, 2000), (9, 1), (10, 5), (ushort.MaxValue, 6));
        Assert.Equal(0, _driver.Queues[2].UsedIndex);
        Assert.Equal([0, 0, 0, 0, 1000, 2000, 0, 0, 0, 1], _device.Statistics());
        _device.RequestStatistics();
        _driver.Run();
        Assert.Equal(1, _driver.Queues[2].UsedIndex);
        SendStatistics((9, 2), (4, 999), (0, 3));
        Assert.Equal([3, 0, 0, 0, 999, 2000, 0, 0, 0, 2], _device.Statistics());
        Assert.Equal(1, _driver.Queues[2].UsedIndex);
    }

    [Fact]
    public void Statistics_that_are_new_are_waited_for_and_a_silent_guest_is_not_waited_for_longer()
    {
        // One that never told any is not waited for at all.
        _device.RefreshStatistics(int.MaxValue);
        SendStatistics((4, 1000), (5, ulong.MaxValue));
        Thread asks = new(() => _device.RefreshStatistics(int.MaxValue));
        asks.Start();
        while (_driver.Queues[2].UsedIndex == 0)
            _driver.Run();
        Assert.True(asks.IsAlive);
        SendStatistics((4, 999));
        Assert.True(asks.Join(10_000));
        BalloonRecord record = default;
        _device.SetTarget(0x3000);
        _device.Write(ref record);
        Assert.Equal((0x3000ul, 0ul, 2ul), (record.TargetBytes, record.ActualBytes, record.Reports));
        Assert.Equal((999ul, (ulong)long.MaxValue), (record.Statistics[4], record.Statistics[5]));
        _device.RefreshStatistics(1);
        _device.Write(ref record);
        Assert.Equal(2ul, record.Reports);
    }

    [Fact]
    public void A_second_buffer_for_statistics_breaks_the_device()
    {
        SendStatistics((4, 1000));
        SendStatistics((4, 1001));
        Assert.True(_driver.NeedsReset);
    }

    [Fact]
    public void The_target_is_told_and_the_answer_read()
    {
        _device.SetTarget(0x5fff);
        Assert.Equal(5u, _driver.Configuration<uint>(0));
        Assert.Equal((uint)VIRTIO_MMIO_INT_CONFIG, _driver.Read(VIRTIO_MMIO_INTERRUPT_STATUS));
        _device.SetTarget(ulong.MaxValue);
        Assert.Equal(512u, _driver.Configuration<uint>(0));
        _driver.Write(VIRTIO_MMIO_CONFIG + 4, 3);
        Assert.Equal(0x3000ul, _device.ActualBytes);
        _driver.Write(VIRTIO_MMIO_CONFIG, 9);
        _driver.Write(VIRTIO_MMIO_CONFIG + 8, 9);
        _driver.Transport.Write(VIRTIO_MMIO_CONFIG + 4, [1]);
        Assert.Equal((512u, 3u, 0u),
            (_driver.Configuration<uint>(0), _driver.Configuration<uint>(4), _driver.Configuration<uint>(8)));
        Assert.Equal(3, Metrics.Count(RegisterFault.Frozen));
    }

    [Fact]
    public void Queues_move_up_when_there_are_no_statistics()
    {
        _memory.Clear();
        _driver.Start(_driver.OfferedFeatures() & ~(1UL << VIRTIO_BALLOON_F_STATS_VQ));
        _memory.At<ulong>(Page0) = 7;
        _driver.Queues[2].Send(new Piece(Page0, 0x1000, true));
        _driver.NotifyAndRun(2);
        Assert.Equal(0ul, _memory.At<ulong>(Page0));
        Assert.Equal(1, _driver.Queues[2].UsedIndex);
        _device.RequestStatistics();
        _driver.Run();
    }

    [Fact]
    public void A_balloon_that_was_saved_goes_on()
    {
        SendStatistics((4, 1000));
        _device.SetTarget(0x3000);
        _driver.Write(VIRTIO_MMIO_CONFIG + 4, 2);
        _driver.Transport.Pause();
        TransportState transport = _driver.Transport.Save();
        BalloonState state = _device.Save();
        BalloonDevice device = new(_memory.Ram, deflatesOnOom: true);
        using TestDriver other = new(device, _memory);
        other.Transport.Pause();
        Assert.False(device.TryRestore(state));
        Assert.True(other.Transport.TryRestore(transport));
        Assert.False(device.TryRestore(state with { StatisticsHead = 128 }));
        Assert.False(device.TryRestore(state with { TargetPages = 513 }));
        Assert.True(device.TryRestore(state));
        other.Transport.Resume();
        device.RequestStatistics();
        other.Run();
        Assert.Equal(1, _driver.Queues[2].UsedIndex);
        Assert.Equal((3u, 2u), (other.Configuration<uint>(0), other.Configuration<uint>(4)));
    }
}
