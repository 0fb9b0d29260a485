using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>A pseudo-terminal of the host's kernel: how a Linux terminal behaves is asked of one.</summary>
sealed unsafe class HostTerminal : IDisposable
{
    private readonly FileDescriptor _master;
    private readonly FileDescriptor _slave;

    private HostTerminal(FileDescriptor master, FileDescriptor slave)
    {
        _master = master;
        _slave = slave;
    }

    /// <summary>Null where the host has none.</summary>
    public static HostTerminal? TryOpen()
    {
        if (FileDescriptor.TryOpen("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, 0, out FileDescriptor? master) != 0)
            return null;
        int locked = 0;
        int peer = master!.Control(TIOCSPTLCK, &locked);
        if (peer == 0)
            peer = master.Control(TIOCGPTPEER, (void*)(O_RDWR | O_NOCTTY | O_NONBLOCK));
        if (peer >= 0)
            return new HostTerminal(master, new FileDescriptor(peer));
        master.Dispose();
        return null;
    }

    public termios Settings
    {
        get
        {
            termios settings;
            OracleException.Check(_slave.Control(TCGETS, &settings) == 0, "asking the host's terminal");
            return settings;
        }
    }

    public void Configure(termios settings, bool flushInput) =>
        OracleException.Check(_slave.Control((nuint)(flushInput ? TCSETSF : TCSETS), &settings) == 0,
            "setting the host's terminal");

    public void Flush(bool input, bool output) =>
        OracleException.Check(
            _slave.Control(TCFLSH, (void*)(input ? output ? TCIOFLUSH : TCIFLUSH : TCOFLUSH)) == 0,
                "flushing the host's terminal");

    /// <summary>What is typed goes through a kernel thread: asking for readiness waits for it.</summary>
    public void Settle()
    {
        pollfd ready = new() { fd = _slave.Value, events = POLLIN };
        _ = poll(&ready, 1, 0);
        ready = new() { fd = _master.Value, events = POLLIN };
        _ = poll(&ready, 1, 0);
    }

    public void Type(ReadOnlySpan<byte> bytes) =>
        OracleException.Check(_master.Write(bytes) == bytes.Length, "typing at the host's terminal");

    public long Print(ReadOnlySpan<byte> bytes) => _slave.Write(bytes);

    /// <summary>What is shown, or what a program reads: bytes or -EAGAIN.</summary>
    public long TakeShown(Span<byte> buffer) => _master.Read(buffer);

    public long Read(Span<byte> buffer) => _slave.Read(buffer);

    public int Available
    {
        get
        {
            int count;
            OracleException.Check(_slave.Control(FIONREAD, &count) == 0, "asking the host's terminal");
            return count;
        }
    }

    public void Dispose()
    {
        _slave.Dispose();
        _master.Dispose();
    }
}
