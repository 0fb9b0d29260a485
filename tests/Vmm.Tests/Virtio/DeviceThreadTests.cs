using Sandbox.Vmm.Tests.Virtio.Proof;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Virtio;

/// <summary>Devices with their own threads, and drivers that do not wait for them.</summary>
public sealed class DeviceThreadTests : IDisposable
{
    private readonly TestRam _memory = new();
    private readonly EchoDevice _device;
    private readonly TestDriver _driver;

    public DeviceThreadTests()
    {
        _device = new EchoDevice(_memory.Ram);
        _driver = new TestDriver(_device, _memory);
        _driver.Transport.Start();
    }

    public void Dispose()
    {
        _driver.Dispose();
        _memory.Dispose();
    }

    private static void WaitFor(Func<bool> condition) =>
        Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(20)), "it took too long");

    [Fact]
    public void A_notification_wakes_the_thread()
    {
        Begin();
        for (int i = 1; i <= 100; i++)
        {
            _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4), new Piece(TestRam.HighStart + 8, 4, true));
            _driver.Notify(0);
            WaitFor(() => Volatile.Read(ref _driver.Queues[0].UsedIndex) == i);
        }
    }

    [Flaw("reset-in-flight")]
    [Fact]
    public void A_reset_waits_for_the_request_in_flight()
    {
        using AutoResetEvent inside = new(false), goOn = new(false);
        _device.DuringRequest = () =>
        {
            inside.Set();
            goOn.WaitOne(TimeSpan.FromSeconds(20));
        };
        Begin();
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4));
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4));
        _driver.Notify(0);
        Assert.True(inside.WaitOne(TimeSpan.FromSeconds(20)));
        Thread reset = new(() => _driver.Write(VIRTIO_MMIO_STATUS, 0));
        reset.Start();
        WaitFor(() => _device.Workers[0].MustYield);
        Assert.False(reset.Join(20));
        goOn.Set();
        Assert.True(reset.Join(TimeSpan.FromSeconds(20)));
        Assert.Equal(0, _driver.Status);
        // The second request was not begun: the device was asked to stop.
        Assert.Equal(1, _device.Served);
        ushort used = _driver.Queues[0].UsedIndex;
        _memory.Clear();
        Thread.Sleep(20);
        Assert.Equal((1, 0), (used, _driver.Queues[0].UsedIndex));
    }

    [Flaw("reset-in-flight")]
    [Fact]
    public void A_reset_waits_for_the_requests_of_every_queue()
    {
        const int Count = 3;
        using TestRam memory = new();
        EchoDevice device = new(memory.Ram, Count);
        using TestDriver driver = new(device, memory);
        using CountdownEvent inside = new(Count);
        using SemaphoreSlim goOn = new(0);
        device.DuringRequest = () =>
        {
            inside.Signal();
            goOn.Wait(TimeSpan.FromSeconds(20));
        };
        driver.Start();
        driver.Transport.Start();
        for (int queue = 0; queue < Count; queue++)
        {
            driver.Queues[queue].Send(new Piece(TestRam.HighStart, 4));
            driver.Notify(queue);
        }
        Assert.True(inside.Wait(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken));
        Thread reset = new(() => driver.Write(VIRTIO_MMIO_STATUS, 0));
        reset.Start();
        for (int queue = 0; queue < Count; queue++)
        {
            Assert.False(reset.Join(20));
            goOn.Release();
        }
        Assert.True(reset.Join(TimeSpan.FromSeconds(20)));
        Assert.Equal(0, driver.Status);
    }

    [Fact]
    public void Resets_and_notifications_at_once_lose_nothing_and_break_nothing()
    {
        for (int round = 0; round < 200; round++)
        {
            _memory.Clear();
            Begin();
            for (int i = 0; i < 4; i++)
            {
                _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4), new Piece(TestRam.HighStart + 8, 4, true));
                _driver.Notify(0);
            }
            if (round % 2 == 0)
                WaitFor(() => Volatile.Read(ref _driver.Queues[0].UsedIndex) == 4);
            _driver.Write(VIRTIO_MMIO_STATUS, 0);
            ushort used = _driver.Queues[0].UsedIndex;
            Assert.Equal(0, _driver.Status);
            Assert.Equal(used, _driver.Queues[0].UsedIndex);
        }
    }

    private void Begin()
    {
        _driver.Agree(_driver.OfferedFeatures());
        _driver.Enable(0);
        _driver.Write(VIRTIO_MMIO_STATUS, 15);
    }
}
