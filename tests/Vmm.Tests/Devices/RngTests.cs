using Sandbox.Host;
using Sandbox.Vmm.Devices.Rng;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;

namespace Sandbox.Vmm.Tests.Devices;

public sealed class RngTests : IDisposable
{
    private const ulong Data = TestRam.HighStart;

    private readonly TestRam _memory = new();
    private TestDriver? _driver;

    public void Dispose()
    {
        _driver?.Dispose();
        _memory.Dispose();
    }

    private TestDriver Start(RateLimit limit = default) =>
        _driver = new TestDriver(new RngDevice(_memory.Ram, limit), _memory).Start();

    [Requirement("2.7.8.2b")]
    [Requirement("5.4.6.2a")]
    [Fact]
    public void Buffers_are_filled_as_a_whole_and_not_further()
    {
        TestDriver driver = Start();
        driver.Queues[0].Send(new Piece(Data, 1000, true), new Piece(Data + 0x1000, 500, true));
        driver.NotifyAndRun(0);
        Assert.Equal(1500u, driver.Queues[0].UsedElement(0).len);
        // A quarter of them zero has a chance of one in 10^300.
        Assert.InRange(_memory.Bytes(Data, 1000).Count((byte)0), 0, 250);
        Assert.InRange(_memory.Bytes(Data + 0x1000, 500).Count((byte)0), 0, 125);
        Assert.Equal(0ul, _memory.At<ulong>(Data + 1000));
        Assert.Equal(0ul, _memory.At<ulong>(Data + 0x1000 + 500));
        Assert.Equal(1500, ((RngMetrics)driver.Device.Metrics).Bytes);
    }

    [Requirement("2.7.4.1a")]
    [Requirement("5.4.6.2a")]
    [Fact]
    public void A_request_of_single_bytes_gets_each_of_them()
    {
        TestDriver driver = Start();
        // Of 64 bytes, eight times, each one is not zero at least once: but for one time in 10^17.
        HashSet<int> seen = [];
        for (int round = 0; round < 8; round++)
        {
            driver.Queues[0].Send([.. Enumerable.Range(0, 64).Select(i => new Piece(Data + (2 * (ulong)i), 1, true))]);
            driver.NotifyAndRun(0);
            Assert.Equal(64u, driver.Queues[0].UsedElement(round).len);
            for (int i = 0; i < 128; i++)
                if (_memory.At<byte>(Data + (ulong)i) != 0)
                    seen.Add(i);
        }
        Assert.Equal(Enumerable.Range(0, 64).Select(i => 2 * i), seen.Order());
    }

    [Fact]
    public void A_request_gets_64_KiB_at_most()
    {
        TestDriver driver = Start();
        driver.Queues[0].Send(new Piece(Data, 0x1_8000, true));
        driver.NotifyAndRun(0);
        Assert.Equal(0x1_0000u, driver.Queues[0].UsedElement(0).len);
        Assert.Equal(0ul, _memory.At<ulong>(Data + 0x1_0000));
    }

    [Fact]
    public void A_request_without_room_breaks_the_device()
    {
        TestDriver driver = Start();
        driver.Queues[0].Send(new Piece(Data, 8));
        driver.NotifyAndRun(0);
        Assert.True(driver.NeedsReset);
        Assert.Equal(1, driver.Device.Metrics.Count(QueueFault.Request));
    }

    [Fact]
    public void Bytes_a_second_are_held()
    {
        // A burst of 1000, then 10 ms for each 100.
        TestDriver driver = Start(new RateLimit(10_000, 0));
        for (int i = 0; i < 12; i++)
            driver.Queues[0].Send(new Piece(Data, 100, true));
        long started = HostClock.MonotonicNanoseconds();
        driver.NotifyAndRun(0);
        while (driver.Queues[0].UsedIndex < 12)
            driver.Device.Workers[0].RunOnce(1000);
        Assert.InRange(HostClock.MonotonicNanoseconds() - started, 19_000_000, long.MaxValue);
        Dictionary<string, long> told = [];
        driver.Device.Metrics.Report(told.Add);
        Assert.InRange(told["throttled"], 1, 100);
        Assert.Equal(1200, told["random_bytes"]);
    }
}
