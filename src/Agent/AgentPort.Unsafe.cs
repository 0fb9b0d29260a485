using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>The byte stream to the VMM: the second serial port, as it is, without a terminal's editing.</summary>
sealed unsafe class AgentPort : IDisposable
{
    private const string Device = "/dev/ttyS1";

    private readonly byte[] _frame = new byte[AgentFrame.HeaderSize + AgentFrame.MaximumPayload];

    public AgentPort()
    {
        int error = FileDescriptor.TryOpen(Device, O_RDWR | O_NOCTTY, 0, out FileDescriptor? file);
        if (error != 0)
            throw new AgentException(AgentStep.Order, -error);
        File = file!;
        termios settings;
        if (File.Control(TCGETS, &settings) != 0)
            throw new AgentException(AgentStep.Order, EIO);
        settings.c_iflag = 0;
        settings.c_oflag = 0;
        settings.c_lflag = 0;
        settings.c_cflag = B115200 | CS8 | CREAD | CLOCAL;
        settings.c_cc[VMIN] = 1;
        settings.c_cc[VTIME] = 0;
        if (File.Control(TCSETS, &settings) != 0)
            throw new AgentException(AgentStep.Order, EIO);
    }

    public FileDescriptor File { get; }

    /// <summary>Sends one frame, and waits until the port has taken it.</summary>
    public void Send(AgentFrameKind kind, ReadOnlySpan<byte> payload)
    {
        ReadOnlySpan<byte> rest = _frame.AsSpan(0, AgentFrame.Write(kind, payload, _frame));
        while (!rest.IsEmpty)
        {
            nint written = File.Write(rest);
            if (written < 0 && written != -EINTR)
                return; // the machine is being taken away
            rest = rest[(int)Math.Max(written, 0)..];
        }
        if (kind is AgentFrameKind.Ended or AgentFrameKind.Failed)
            // TCSBRK with 1: tcdrain(3).
            _ = ioctl(File.Value, TCSBRK, (void*)1);
    }

    public void Dispose() => File.Dispose();
}
