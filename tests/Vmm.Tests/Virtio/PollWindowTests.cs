using Sandbox.Vmm.Virtio;
using Xunit;

namespace Sandbox.Vmm.Tests.Virtio;

public sealed class PollWindowTests : IDisposable
{
    private readonly TestRam _memory = new();
    private readonly TestDriver _driver;
    private readonly PollWindow _window = new();

    public PollWindowTests() => _driver = new TestDriver(new EchoDevice(_memory.Ram), _memory);

    public void Dispose()
    {
        _driver.Dispose();
        _memory.Dispose();
    }

    private bool Look() => _window.Look(_driver.Device, 0, _driver.Device.Workers[0]);

    [Fact]
    public void It_opens_while_sleeps_are_short_and_closes_with_a_long_one()
    {
        Assert.SkipUnless(Environment.ProcessorCount > 1, "one processor never looks");
        Assert.Equal(0, _window.Nanoseconds);
        _window.Slept(1_000);
        Assert.Equal(10_000, _window.Nanoseconds);
        for (int i = 0; i < 10; i++)
            _window.Slept(1_000);
        Assert.Equal(50_000, _window.Nanoseconds);
        _window.Slept(50_001);
        Assert.Equal(0, _window.Nanoseconds);
    }

    [Fact]
    public void What_is_there_is_seen_and_nothing_is_waited_for_longer_than_the_window()
    {
        _driver.Start();
        Assert.False(Look());
        _window.Slept(1_000);
        Assert.False(Look());
        _driver.Queues[0].Send(new Piece(TestRam.HighStart, 4));
        Assert.Equal(Environment.ProcessorCount > 1, Look());
        // Closed, it does not even look.
        _window.Slept(long.MaxValue);
        Assert.False(Look());
    }
}
