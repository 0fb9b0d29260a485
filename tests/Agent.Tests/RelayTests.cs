using Sandbox.Host;
using Sandbox.Policy.Contract;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent.Tests;

/// <summary>
/// The agent's loop with a program of the host's and a VMM's end of the stream in the test's hands. It buries whatever
/// children the process has: nothing else may start any here.
/// </summary>
public sealed class RelayTests : IDisposable
{
    private const int PatienceMilliseconds = 60_000;

    private const int Enough = 4 << 20;

    private readonly FileDescriptor _vmm;
    private readonly AgentSocket _socket;
    private readonly AgentDecoder _decoder = new();

    public RelayTests()
    {
        (_vmm, FileDescriptor agents) = FileDescriptor.CreateStreams();
        _socket = new AgentSocket(agents);
    }

    public void Dispose()
    {
        _vmm.Dispose();
        _socket.Dispose();
    }

    private static Payload Run(params string[] arguments) => Run(null, arguments);

    private static Payload Run(AgentTerminal? terminal, params string[] arguments) => Payload.Start(new AgentOrder
    {
        Modules = [], WritableRoot = false, Arguments = arguments, Environment = ["PATH=/usr/bin:/bin"], WorkingDirectory = "/",
        Hostname = "test", Terminal = terminal, Interfaces = [],
    });

    private void Order(AgentFrameKind kind, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[AgentFrame.HeaderSize + payload.Length];
        Assert.Equal(frame.Length, AgentFrame.Write(kind, payload, frame));
        Assert.Equal(frame.Length, _vmm.Write(frame));
    }

    /// <summary>Takes what the agent sends until its loop has ended.</summary>
    private void Hear(Task run, Action<AgentFrameKind, ReadOnlyMemory<byte>> heard)
    {
        byte[] buffer = new byte[4096];
        while (true)
        {
            bool isLast = run.IsCompleted;
            nint count = _vmm.Read(buffer);
            if (count == -EAGAIN && isLast)
                return;
            if (count == -EAGAIN)
                Thread.Sleep(1);
            ReadOnlySpan<byte> bytes = buffer.AsSpan(0, (int)Math.Max(count, 0));
            while (!bytes.IsEmpty)
            {
                Assert.True(_decoder.TryTake(ref bytes, out bool isWhole));
                if (isWhole)
                    heard(_decoder.Kind, _decoder.Payload.ToArray());
            }
        }
    }

    private static bool HasEnded(Payload payload) => IsReady(payload.End, POLLIN);

    private static unsafe bool IsReady(FileDescriptor file, short events)
    {
        pollfd one = new() { fd = file.Value, events = events };
        return poll(&one, 1, PatienceMilliseconds) == 1 && (one.revents & events) != 0;
    }

    [Fact]
    public async Task ASignalIsHeardWhileNobodyTakesTheOutput()
    {
        using Payload payload = Run("yes");
        Task<int> run = Task.Run(() => new Relay(_socket, payload).Run());
        Assert.True(SpinWait.SpinUntil(() => _socket.IsBusy, PatienceMilliseconds), "the stream takes all");
        Order(AgentFrameKind.Signal, [SIGTERM]);
        Assert.True(HasEnded(payload), "the program was not told");
        long length = 0;
        Hear(run, (kind, bytes) =>
        {
            Assert.Equal(AgentFrameKind.Output, kind);
            length += bytes.Length;
        });
        int status = await run;
        Assert.True(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, $"status {status:x}");
        Assert.True(length > 0);
    }

    /// <summary>Two sizes, and a frame that is none; the program is told of a change by SIGWINCH.</summary>
    [Fact]
    public async Task ATerminalHasTheSizeThatTheVmmSaysLast()
    {
        using Payload payload = Run(new AgentTerminal(33, 99), "sh", "-c",
            "trap 'stty size' WINCH; stty size; echo ready; until [ \"$(stty size)\" = '7 5' ]; do sleep 0.05; done; exit 5");
        Task<int> run = Task.Run(() => new Relay(_socket, payload).Run());
        string said = "";
        int sent = 0;
        Hear(run, (kind, bytes) =>
        {
            Assert.Equal(AgentFrameKind.Output, kind);
            said += System.Text.Encoding.ASCII.GetString(bytes.Span);
            if (sent == 0 && said.Contains("ready", StringComparison.Ordinal))
            {
                sent = 1;
                Order(AgentFrameKind.WindowSize, [1, 0, 1]);
                Order(AgentFrameKind.WindowSize, Size(40, 1000));
            }
            if (sent == 1 && said.Contains("40 1000", StringComparison.Ordinal))
            {
                sent = 2;
                Order(AgentFrameKind.WindowSize, Size(7, 5));
            }
        });
        int status = await run;
        Assert.True(WIFEXITED(status) && WEXITSTATUS(status) == 5, $"status {status:x}: {said}");
        Assert.StartsWith("33 99\r\nready\r\n40 1000\r\n", said, StringComparison.Ordinal);

        static byte[] Size(ushort rows, ushort columns) => [.. BitConverter.GetBytes(rows), .. BitConverter.GetBytes(columns)];
    }

    /// <summary>Nobody has it open when a key arrives.</summary>
    [Fact]
    public async Task ATerminalThatTheProgramHasClosedIsThereWhenItOpensItAgain()
    {
        using Payload payload = Run(new AgentTerminal(24, 80), "sh", "-c",
            "stty -echo; echo closed; exec <&- >&- 2>&-; sleep 1; read key </dev/tty; echo $key again >/dev/tty; exit 7");
        Task<int> run = Task.Run(() => new Relay(_socket, payload).Run());
        string said = "";
        uint taken = 0;
        Hear(run, (kind, bytes) =>
        {
            if (kind == AgentFrameKind.Taken)
                taken += BitConverter.ToUInt32(bytes.Span);
            else
                said += System.Text.Encoding.ASCII.GetString(bytes.Span);
            if (said == "closed\r\n" && taken == 0)
            {
                Thread.Sleep(200);
                Order(AgentFrameKind.Input, "key\n"u8);
            }
        });
        int status = await run;
        Assert.True(WIFEXITED(status) && WEXITSTATUS(status) == 7, $"status {status:x}");
        Assert.Equal("closed\r\nkey again\r\n", said);
        Assert.Equal(4u, taken);
    }

    /// <summary>Its kernel takes no key any more; what is no terminal stands in for such a one.</summary>
    [Fact]
    public async Task AKeyThatATerminalRefusesIsTakenAndLost()
    {
        using Payload payload = Run(new AgentTerminal(24, 80), "sh", "-c", "trap '' HUP; echo ready; sleep 1; exit 7");
        Assert.True(IsReady(payload.Output, POLLIN), "the program does not run");
        (FileDescriptor refuses, FileDescriptor peer) = FileDescriptor.CreateStreams();
        peer.Dispose();
        Assert.Equal(payload.Output.Value, dup2(refuses.Value, payload.Output.Value));
        refuses.Dispose();
        Order(AgentFrameKind.Input, "key"u8);
        Order(AgentFrameKind.WindowSize, [1, 0, 1, 0]);
        Order(AgentFrameKind.InputEnd, []);
        Task<int> run = Task.Run(() => new Relay(_socket, payload).Run());
        uint taken = 0;
        Hear(run, (kind, bytes) => taken += kind == AgentFrameKind.Taken ? BitConverter.ToUInt32(bytes.Span) : 0);
        int status = await run;
        Assert.True(WIFEXITED(status) && WEXITSTATUS(status) == 7, $"status {status:x}");
        Assert.Equal(3u, taken);
    }

    /// <summary>One that writes without end, until its own stream is named.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task AProgramWhoseOutputNobodyReadsIsEndedBySigpipe(byte stream)
    {
        using Payload payload = stream == 0 ? Run("yes") : Run("sh", "-c", "exec yes >&2");
        Task<int> run = Task.Run(() => new Relay(_socket, payload).Run());
        Assert.True(SpinWait.SpinUntil(() => _socket.IsBusy, PatienceMilliseconds), "the stream takes all");
        // What is no such frame, or of the other stream, closes nothing.
        Order(AgentFrameKind.Unread, []);
        Order(AgentFrameKind.Unread, [2]);
        Order(AgentFrameKind.Unread, [stream, 0]);
        Order(AgentFrameKind.Unread, [(byte)(1 - stream)]);
        int heard = 0;
        Hear(run, (kind, bytes) =>
        {
            Assert.Equal(stream == 0 ? AgentFrameKind.Output : AgentFrameKind.Error, kind);
            // Many times what was on its way when those frames were sent.
            if (heard < Enough && (heard += bytes.Length) >= Enough)
            {
                Order(AgentFrameKind.Unread, [stream]);
                Order(AgentFrameKind.Unread, [stream]);
                Order(AgentFrameKind.WindowSize, [1, 0, 1, 0]);
            }
        });
        int status = await run;
        Assert.True(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE, $"status {status:x}");
        Assert.Equal(Enough, Math.Min(heard, Enough));
    }

    [Fact]
    public async Task ATerminalStaysOpenWhenNobodyReadsIt()
    {
        using Payload payload = Run(new AgentTerminal(24, 80), "sh", "-c", "read line; exit 4");
        Order(AgentFrameKind.Unread, [0]);
        Order(AgentFrameKind.Unread, [1]);
        Order(AgentFrameKind.Input, "line\n"u8);
        Task<int> run = Task.Run(() => new Relay(_socket, payload).Run());
        Hear(run, (_, _) => { });
        int status = await run;
        Assert.True(WIFEXITED(status) && WEXITSTATUS(status) == 4, $"status {status:x}");
    }

    [Fact]
    public void WhateverEscapesIsAFailureOfTheAgents()
    {
        AgentException own = new(AgentStep.Mount, ENOENT);
        Assert.Same(own, AgentException.Of(own));
        AgentException other = AgentException.Of(new ObjectDisposedException("input"));
        Assert.Equal((AgentStep.None, EIO), (other.Step, other.Errno));
    }

    [Fact]
    public async Task AnOrphanThatWritesWithoutEndHoldsNothingUp()
    {
        const int fullPipe = 64 << 10;
        // The orphan has filled its pipe, or is about to, when the program ends.
        using Payload payload = Run("sh", "-c", "yes & sleep 0.2; echo last >&2; exit 3");
        Task<int> run = Task.Run(() => new Relay(_socket, payload).Run());
        try
        {
            Assert.True(HasEnded(payload), "the program has not ended");
            long afterEnd = 0;
            string errors = "";
            Hear(run, (kind, bytes) =>
            {
                if (kind == AgentFrameKind.Error)
                    errors += System.Text.Encoding.ASCII.GetString(bytes.Span);
                // Besides what was in the pipe: what the stream had taken, and what was on its way.
                else if ((afterEnd += bytes.Length) > 64 * fullPipe)
                    Assert.Fail("the loop does not end");
            });
            int status = await run;
            Assert.True(WIFEXITED(status) && WEXITSTATUS(status) == 3, $"status {status:x}");
            Assert.Equal("last\n", errors);
        }
        finally
        {
            // Its group has no other process any more.
            _ = kill(-payload.Pid, SIGKILL);
        }
    }

    [Fact]
    public async Task AllThatIsReadAndWrittenArrivesOnce()
    {
        const int input = 200_000, errors = 300_000;
        using Payload payload = Run("sh", "-c", $"head -c {errors} /dev/zero >&2 & cat; wait");
        Task<int> run = Task.Run(() => new Relay(_socket, payload).Run());
        byte[] sent = new byte[input];
        new Random(1).NextBytes(sent);
        List<byte> output = [];
        int errorBytes = 0, at = 0;
        uint taken = 0;
        Feed();
        Hear(run, (kind, bytes) =>
        {
            switch (kind)
            {
                case AgentFrameKind.Output:
                    output.AddRange(bytes.Span);
                    break;
                case AgentFrameKind.Error:
                    errorBytes += bytes.Length;
                    break;
                default:
                    Assert.Equal(AgentFrameKind.Taken, kind);
                    taken += BitConverter.ToUInt32(bytes.Span);
                    Feed();
                    break;
            }
        });
        Assert.Equal(0, await run);
        Assert.Equal((sent.Length, errors, (uint)sent.Length), (at, errorBytes, taken));
        Assert.Equal(sent, output);

        void Feed()
        {
            while (at < sent.Length && at - taken < AgentFrame.InputWindow)
            {
                int count = (int)Math.Min(Math.Min(sent.Length - at, AgentFrame.MaximumPayload), AgentFrame.InputWindow - (at - taken));
                Order(AgentFrameKind.Input, sent.AsSpan(at, count));
                at += count;
                if (at == sent.Length)
                    Order(AgentFrameKind.InputEnd, []);
            }
        }
    }
}
