using Sandbox.Host;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Tests.Virtio;
using Sandbox.Vmm.Virtio;
using Xunit;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Tests.Machine;

public sealed class PortStreamsTests : IDisposable
{
    private const ulong Text = TestRam.HighStart;
    private const ulong Inbox = TestRam.HighStart + 0x1_0000;

    private readonly TestRam _memory = new();
    private readonly FileDescriptor _output = FileDescriptor.CreateMemory("output", 0);

    public void Dispose()
    {
        _output.Dispose();
        _memory.Dispose();
    }

    private TestDriver Driver(PortStreams streams) =>
        new TestDriver(streams.Device, _memory).Start(1UL << VIRTIO_F_VERSION_1);

    private void Say(TestDriver driver, ReadOnlySpan<byte> text)
    {
        text.CopyTo(_memory.Bytes(Text, text.Length));
        driver.Queues[1].Send(new Piece(Text, (uint)text.Length));
        driver.NotifyAndRun(1);
    }

    private string Content()
    {
        byte[] bytes = new byte[4096];
        return System.Text.Encoding.ASCII.GetString(bytes, 0, (int)_output.ReadAt(bytes, 0));
    }

    [Fact]
    public void What_the_guest_says_and_hears_are_the_callers_streams()
    {
        // The input is not closed here: the thread that reads it may be about to do so once more.
        (FileDescriptor caller, FileDescriptor input) = FileDescriptor.CreateStreams();
        PortStreams streams = new(_memory.Ram, input, _output, 0, () => Assert.Fail("there is no limit"));
        using TestDriver driver = Driver(streams);
        streams.Start();
        Say(driver, "said"u8);
        Assert.Equal(5, caller.Write("typed"u8));
        driver.Queues[0].Send(new Piece(Inbox, 100, true));
        driver.Notify(0);
        SpinWait.SpinUntil(
            () =>
            {
                driver.Run();
                return driver.Queues[0].UsedIndex == 1;
            },
            10_000);
        Assert.Equal("typed"u8.ToArray(), _memory.Bytes(Inbox, 5).ToArray());
        Say(driver, " and done"u8);
        // What is on its way arrives, and then the thread that waits for more ends.
        streams.Finish();
        Assert.Equal("said and done", Content());
        Assert.Equal(13, streams.OutputBytes);
        caller.Dispose();
    }

    [Fact]
    public void Output_beyond_its_limit_is_told_and_not_passed_on()
    {
        using ManualResetEventSlim reached = new();
        PortStreams streams = new(_memory.Ram, null, _output, 6, reached.Set);
        using TestDriver driver = Driver(streams);
        streams.Start();
        Say(driver, "said"u8);
        Say(driver, "more"u8);
        Assert.True(reached.Wait(10_000, TestContext.Current.CancellationToken));
        streams.Finish();
        Assert.Equal(("saidmo", 6), (Content(), streams.OutputBytes));
    }
}
