using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Machine;
using Xunit;

namespace Sandbox.Vmm.Tests.Machine;

public sealed class AgentStreamsTests : IDisposable
{
    private readonly FileDescriptor _socket;
    private readonly FileDescriptor _guest;
    private readonly FileDescriptor _output = FileDescriptor.CreateMemory("output", 0);
    private readonly FileDescriptor _error = FileDescriptor.CreateMemory("error", 0);
    private readonly List<AgentEnd> _ends = [];
    private AgentStreams? _streams;

    public AgentStreamsTests() => (_socket, _guest) = FileDescriptor.CreateStreams();

    public void Dispose()
    {
        // Who listens hears that nobody speaks any more.
        _guest.Dispose();
        _streams?.Finish(10_000);
        _socket.Dispose();
        _output.Dispose();
        _error.Dispose();
    }

    private AgentStreams Streams(FileDescriptor? input = null, long limit = 0) =>
        _streams = new AgentStreams(_socket, input, _output, _error, limit, _ends.Add);

    private static byte[] Content(FileDescriptor file)
    {
        byte[] bytes = new byte[4096];
        return bytes[..(int)file.ReadAt(bytes, 0)];
    }

    [Fact]
    public void A_programs_words_and_status_reach_the_caller()
    {
        AgentStreams streams = Streams();
        streams.Hear(AgentFrameKind.Started, []);
        streams.Hear(AgentFrameKind.Output, "out"u8);
        streams.Hear(AgentFrameKind.Error, "err"u8);
        streams.Hear(AgentFrameKind.Ended, [0, 42]);
        Assert.Equal("out"u8.ToArray(), Content(_output));
        Assert.Equal("err"u8.ToArray(), Content(_error));
        Assert.Equal([new AgentEnd(EndCause.Exited, 42, 0)], _ends);
        Assert.Equal(6, streams.OutputBytes);
    }

    [Fact]
    public void A_signal_that_ended_it_is_told_as_one()
    {
        AgentStreams streams = Streams();
        streams.Hear(AgentFrameKind.Started, []);
        streams.Hear(AgentFrameKind.Ended, [1, 9]);
        streams.Hear(AgentFrameKind.Ended, [0, 0]);
        Assert.Equal([new AgentEnd(EndCause.Signaled, 9, 0)], _ends);
    }

    [Theory]
    [InlineData(AgentStep.Lookup, EndCause.NotFound)]
    [InlineData(AgentStep.Execute, EndCause.NotExecutable)]
    [InlineData(AgentStep.Root, EndCause.Failed)]
    [InlineData(AgentStep.WorkingDirectory, EndCause.Failed)]
    public void A_program_that_does_not_start_has_a_reason(AgentStep step, EndCause cause)
    {
        Streams().Hear(AgentFrameKind.Failed, [(byte)step, .. BitConverter.GetBytes(Libc.EACCES)]);
        Assert.Equal(cause, Assert.Single(_ends).Cause);
    }

    public static TheoryData<AgentFrameKind, bool, byte[]> Lies => new()
    {
        { (AgentFrameKind)0, true, [] },
        { (AgentFrameKind)255, true, [] },
        { AgentFrameKind.Input, true, [] },
        { AgentFrameKind.Unread, true, [0] },
        { AgentFrameKind.Started, true, [] },
        { AgentFrameKind.Started, false, [1] },
        { AgentFrameKind.Output, false, [1] },
        { AgentFrameKind.Ended, false, [0, 0] },
        { AgentFrameKind.Ended, true, [0] },
        { AgentFrameKind.Ended, true, [1, 0] },
        { AgentFrameKind.Ended, true, [1, 65] },
        { AgentFrameKind.Ended, true, [2, 1] },
        { AgentFrameKind.Failed, true, [1, 0, 0, 0, 0] },
        { AgentFrameKind.Failed, false, [99, 0, 0, 0, 0] },
        { AgentFrameKind.Failed, false, [1] },
        { AgentFrameKind.Taken, true, [1, 0, 0, 0] },
        { AgentFrameKind.Taken, true, [255, 255, 255, 255] },
        { AgentFrameKind.Taken, true, [0] },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void What_no_agent_says_ends_the_guest(AgentFrameKind kind, bool started, byte[] payload)
    {
        AgentStreams streams = Streams();
        if (started)
            streams.Hear(AgentFrameKind.Started, []);
        streams.Hear(kind, payload);
        AgentEnd end = Assert.Single(_ends);
        Assert.Equal((EndCause.Failed, (long)VmmFailure.AgentMisbehaved), (end.Cause, end.Detail));
    }

    [Fact]
    public void The_limit_of_output_is_exact_and_of_both_together()
    {
        AgentStreams streams = Streams(limit: 5);
        streams.Hear(AgentFrameKind.Started, []);
        streams.Hear(AgentFrameKind.Output, "abc"u8);
        streams.Hear(AgentFrameKind.Error, "def"u8);
        Assert.Equal("abc"u8.ToArray(), Content(_output));
        Assert.Equal("de"u8.ToArray(), Content(_error));
        Assert.Equal(EndCause.OutputLimit, Assert.Single(_ends).Cause);
    }

    [Fact]
    public void No_more_input_is_sent_than_was_asked_for()
    {
        using FileDescriptor input = FileDescriptor.CreateMemory("input", 100_000);
        AgentStreams streams = Streams(input);
        streams.Start();
        streams.Hear(AgentFrameKind.Started, []);
        int sent = Receive(4 * AgentFrame.InputWindow);
        // Headers of four frames, and not a byte of payload more than the window.
        Assert.Equal(AgentFrame.InputWindow + (4 * AgentFrame.HeaderSize), sent);
        streams.Hear(AgentFrameKind.Taken, BitConverter.GetBytes(100));
        Assert.Equal(100 + AgentFrame.HeaderSize, Receive(1000));
        Assert.Empty(_ends);
    }

    [Fact]
    public void The_agent_is_told_once_of_each_output_that_nobody_reads()
    {
        (FileDescriptor output, FileDescriptor reader) = FileDescriptor.CreateStreams();
        (FileDescriptor error, FileDescriptor errorReader) = FileDescriptor.CreateStreams();
        using FileDescriptor input = FileDescriptor.CreateMemory("input", 0);
        int heard = 8;
        using (output)
        using (error)
        {
            AgentStreams streams = _streams = new AgentStreams(_socket, input, output, error, 0, _ends.Add);
            streams.Hear(AgentFrameKind.Started, []);
            streams.Hear(AgentFrameKind.Output, "read"u8);
            Assert.Empty(Received(100));
            reader.Dispose();
            Assert.Equal([(byte)AgentFrameKind.Unread, 0, 1, 0, 0], Told(AgentFrameKind.Output));
            streams.Hear(AgentFrameKind.Error, "read"u8);
            Assert.Empty(Received(100));
            errorReader.Dispose();
            Assert.Equal([(byte)AgentFrameKind.Unread, 0, 1, 0, 1], Told(AgentFrameKind.Error));
            // The rest is heard and counted as before.
            Assert.Equal(heard, streams.OutputBytes);
            streams.Hear(AgentFrameKind.Ended, [1, Libc.SIGPIPE]);
        }
        Assert.Equal([new AgentEnd(EndCause.Signaled, Libc.SIGPIPE, 0)], _ends);

        // Another test's child has the reader, too, until its execve: not the first bytes need be lost.
        byte[] Told(AgentFrameKind kind)
        {
            byte[] told = [];
            for (int tries = 0; told.Length == 0 && tries < 100; tries++)
            {
                Hear(kind);
                told = Received(100);
            }
            Hear(kind);
            Assert.Empty(Received(100));
            return told;
        }

        void Hear(AgentFrameKind kind)
        {
            _streams!.Hear(kind, "lost"u8);
            heard += 4;
        }
    }

    [Fact]
    public void A_guest_that_does_not_listen_is_not_waited_for_when_nobody_reads_its_output()
    {
        (FileDescriptor output, FileDescriptor reader) = FileDescriptor.CreateStreams();
        reader.Dispose();
        using FileDescriptor input = FileDescriptor.CreateMemory("input", 0);
        using (output)
        {
            AgentStreams streams = _streams = new AgentStreams(_socket, input, output, _error, 0, _ends.Add);
            streams.Hear(AgentFrameKind.Started, []);
            byte[] much = new byte[4096];
            while (_socket.Write(much) > 0)
            {
            }
            streams.Hear(AgentFrameKind.Output, "lost"u8);
            streams.Hear(AgentFrameKind.Error, "read"u8);
            Assert.Equal("read"u8.ToArray(), Content(_error));
            Assert.False(streams.TrySignal(Libc.SIGTERM));
        }
    }

    [Fact]
    public void Signals_are_for_a_program_that_runs()
    {
        AgentStreams streams = Streams();
        Assert.False(streams.TrySignal(15));
        streams.Hear(AgentFrameKind.Started, []);
        Assert.Equal(4, Receive(4));
        Assert.True(streams.TrySignal(15));
        Assert.Equal(5, Receive(100));
    }

    /// <summary>Whether the program has ended cannot be known then.</summary>
    [Fact]
    public async Task A_second_interruption_is_not_passed_on_when_no_output_was_taken_since_the_first()
    {
        (FileDescriptor output, FileDescriptor reader) = FileDescriptor.CreateStreams();
        byte[] much = new byte[4096];
        while (output.Write(much) > 0)
        {
        }
        using FileDescriptor input = FileDescriptor.CreateMemory("input", 0);
        using (reader)
        using (output)
        {
            AgentStreams streams = _streams = new AgentStreams(_socket, input, output, _error, 0, _ends.Add);
            streams.Hear(AgentFrameKind.Started, []);
            for (int i = 0; i < 3; i++)
                Assert.True(streams.TrySignal(Libc.SIGTERM));
            Task write = Task.Run(
                () => streams.Hear(AgentFrameKind.Output, "waits"u8), TestContext.Current.CancellationToken);
            Assert.True(streams.TrySignal(Libc.SIGTERM));
            int more = 0;
            for (; more < 100 && streams.TrySignal(Libc.SIGINT); more++)
                Thread.Sleep(100);
            Assert.InRange(more, 0, 99);
            Assert.True(streams.TrySignal(Libc.SIGHUP));
            while (!write.IsCompleted)
                reader.Read(much);
            await write;
            Assert.True(streams.TrySignal(Libc.SIGTERM));
        }
        Assert.Empty(_ends);
    }

    [Fact]
    public void A_terminals_size_is_for_a_program_that_runs()
    {
        AgentStreams streams = Streams();
        streams.Resize(1, 2);
        Assert.Equal(0, Receive(1));
        streams.Hear(AgentFrameKind.Started, []);
        Assert.Equal(AgentFrame.HeaderSize, Receive(AgentFrame.HeaderSize));
        streams.Resize(1, 2);
        Assert.Equal(AgentFrame.HeaderSize + (2 * sizeof(ushort)), Receive(100));
    }

    [Fact]
    public void What_the_guest_wrote_before_its_end_is_heard()
    {
        AgentStreams streams = Streams();
        streams.Start();
        byte[] frames = [1, 0, 0, 0, 2, 0, 3, 0, .. "end"u8];
        Assert.Equal(frames.Length, _guest.Write(frames));
        Assert.Equal(0, Libc.shutdown(_guest.Value, Libc.SHUT_WR));
        Assert.True(streams.Finish(10_000));
        Assert.Equal("end"u8.ToArray(), Content(_output));
        Assert.True(streams.HasStarted);
    }

    /// <summary>Plays the agent: reads its socket until nothing has come for a while.</summary>
    private int Receive(int most) => Received(most).Length;

    /// <inheritdoc cref="Receive"/>
    private byte[] Received(int most)
    {
        byte[] data = new byte[most];
        int count = 0;
        for (int quiet = 0; quiet < 50 && count < most; quiet++)
        {
            nint read = _guest.Read(data.AsSpan(count));
            if (read > 0)
            {
                count += (int)read;
                quiet = 0;
                continue;
            }
            Thread.Sleep(10);
        }
        return data[..count];
    }
}
