using Sandbox.Host;
using Sandbox.Vmm.Personality.Terminals;
using Sandbox.Vmm.Personality.Waiting;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>The operator's terminal, which types faster than programs read. Here it is a pipe.</summary>
public sealed unsafe class HostConsoleTests : IDisposable
{
    private readonly DirectGuest _guest = new();
    private readonly Terminal _terminal;
    private readonly FileDescriptor _typed;

    public HostConsoleTests()
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, pipe2(ends, O_CLOEXEC));
        _typed = new FileDescriptor(ends[1]);
        PseudoTerminal terminal = _guest.Personality.Terminals.TryCreate(Objects.Inode())!;
        _terminal = terminal.Terminal;
        new HostConsole(
            _guest.Personality, terminal, new FileDescriptor(ends[0]), FileDescriptor.CreateMemory("shown", 0),
            new OutputLimit(0, () => { })).Start();
    }

    public void Dispose()
    {
        _guest.Dispose();
        _typed.Dispose();
    }

    /// <summary>Types from a thread of its own, for which the pipe has not always room.</summary>
    private void Type(byte[] bytes) => new Thread(() =>
    {
        for (int at = 0; at < bytes.Length;)
            at += (int)_typed.Write(bytes.AsSpan(at));
    }) { IsBackground = true }.Start();

    private byte[] Read(int count)
    {
        var read = new MemoryStream();
        byte[] buffer = new byte[3000];
        Parker parker = new();
        ThreadWaitEntry entry = new(parker);
        _terminal.Waiters.Add(entry);
        while (read.Length < count)
        {
            long result = _terminal.Read(buffer, nonBlocking: false);
            if (result == -EAGAIN)
                Assert.True(parker.Park(HostClock.MonotonicNanoseconds() + 20_000_000_000), $"{read.Length} bytes came");
            else
                read.Write(buffer, 0, (int)result);
        }
        _terminal.Waiters.Remove(entry);
        return read.ToArray();
    }

    [Theory]
    [InlineData(64 << 10)]
    [InlineData(300 << 10)]
    public void What_is_pasted_waits_for_a_program_that_reads(int length)
    {
        termios raw = _terminal.Settings;
        raw.c_lflag = 0;
        raw.c_iflag = 0;
        _terminal.Configure(raw, flushInput: false);
        byte[] pasted = Objects.Bytes(length);
        Type(pasted);
        Assert.True(SpinWait.SpinUntil(() => _terminal.IsInputFull, 20_000));
        Thread.Sleep(100);
        Assert.Equal(pasted, Read(length));
    }

    [Fact]
    public void Lines_wait_too()
    {
        byte[] pasted = [.. Enumerable.Repeat("a line\n"u8.ToArray(), 5000).SelectMany(line => line)];
        Type(pasted);
        Assert.True(SpinWait.SpinUntil(() => _terminal.IsInputFull, 20_000));
        Assert.Equal(pasted, Read(pasted.Length));
    }

    /// <summary>It drops what was typed before it, as in a terminal that has room.</summary>
    [Fact]
    public void The_key_that_interrupts_waits_for_nobody()
    {
        Type([.. Enumerable.Repeat((byte)'\n', 20_000)]);
        Assert.True(SpinWait.SpinUntil(() => _terminal.IsInputFull, 20_000));
        Type([3]);
        Assert.True(SpinWait.SpinUntil(() => _terminal.Available == 0, 20_000), "^C did not get through");
        Type("after\n"u8.ToArray());
        Assert.Equal("after\n"u8, Read(6));
    }
}
