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
        Assert.True(streams.Finish(10_000));
        Assert.Equal("said and done", Content());
        Assert.Equal(13, streams.OutputBytes);
        caller.Dispose();
    }

    [Theory]
    [InlineData(-1, true)]
    [InlineData(0, false)]
    [InlineData(10_000, true)]
    public void What_a_slow_reader_has_not_taken_is_waited_for_within_the_guests_time(int milliseconds, bool isWhole)
    {
        (FileDescriptor reader, FileDescriptor writer) = FullPipe();
        using (reader)
        using (writer)
        {
            PortStreams streams = new(_memory.Ram, null, writer, 0, () => { });
            using TestDriver driver = Driver(streams);
            streams.Start();
            Say(driver, "last"u8);
            bool finished = false;
            Thread end = new(() => finished = streams.Finish(milliseconds));
            end.Start();
            // Longer than the last second that is given in any case.
            Assert.Equal(!isWhole, end.Join(2500));
            byte[] buffer = new byte[1 << 20];
            List<byte> read = [];
            do
                read.AddRange(buffer[..(int)reader.Read(buffer)]);
            while (read[^1] != (byte)'t');
            end.Join();
            Assert.Equal(isWhole, finished);
        }
    }

    [Fact]
    public void A_caller_who_has_had_enough_is_not_kept_by_his_reader()
    {
        (FileDescriptor reader, FileDescriptor writer) = FullPipe();
        using (writer)
        {
            PortStreams streams = new(_memory.Ram, null, writer, 0, () => { });
            using TestDriver driver = Driver(streams);
            streams.Start();
            Say(driver, "last"u8);
            bool finished = true;
            Thread end = new(() => finished = streams.Finish(-1));
            end.Start();
            Assert.False(end.Join(100));
            streams.GiveUp();
            Assert.True(end.Join(10_000));
            Assert.False(finished);
            reader.Dispose();
        }
    }

    /// <summary>The guest may leave its device so that nobody ever says that this was all.</summary>
    [Fact]
    public void Where_nothing_is_written_nothing_is_waited_for()
    {
        OutputDrain drain = new() { IdleMilliseconds = 1000 };
        Thread writer = new(() =>
        {
            for (int i = 0; i < 2; i++)
            {
                drain.CountWrite();
                Thread.Sleep(1500);
                drain.CountWrite();
            }
        });
        long started = HostClock.MonotonicNanoseconds();
        writer.Start();
        Assert.True(drain.Wait(-1));
        writer.Join();
        Assert.InRange((HostClock.MonotonicNanoseconds() - started) / HostClock.NanosecondsPerSecond, 3, 100);
    }

    /// <summary>Whose writer waits, with one more byte.</summary>
    private static (FileDescriptor Reader, FileDescriptor Writer) FullPipe()
    {
        (FileDescriptor reader, FileDescriptor writer) = FileDescriptor.CreatePipe();
        Assert.Equal(0, Libc.fcntl(writer.Value, Libc.F_SETFL, Libc.O_NONBLOCK));
        while (writer.Write(new byte[4096]) > 0)
        {
        }
        Assert.Equal(0, Libc.fcntl(writer.Value, Libc.F_SETFL, 0));
        return (reader, writer);
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
        Assert.True(streams.Finish(10_000));
        Assert.Equal(("saidmo", 6), (Content(), streams.OutputBytes));
    }
}
