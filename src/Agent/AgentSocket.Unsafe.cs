using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>The byte stream to the VMM. Of what the device does not take at once, one frame waits here.</summary>
sealed unsafe class AgentSocket : IDisposable
{
    private readonly byte[] _frame = new byte[AgentFrame.HeaderSize + AgentFrame.MaximumPayload];
    private int _sent, _length;

    /// <param name="file">A connected stream; taken over.</param>
    internal AgentSocket(FileDescriptor file)
    {
        File = file;
        _ = fcntl(file.Value, F_SETFL, O_NONBLOCK);
    }

    /// <exception cref="AgentException">There is no socket device, or nobody answers.</exception>
    public static AgentSocket Connect()
    {
        int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            throw new AgentException(AgentStep.Order, errno);
        FileDescriptor file = new(fd);
        sockaddr_vm host = new() { svm_family = AF_VSOCK, svm_cid = VMADDR_CID_HOST, svm_port = AgentFrame.Port };
        int error = 0;
        // A moment passes between the driver's arrival and the device's.
        if (!Patience.Until(() => (error = Connect(fd, host)) == 0))
            throw new AgentException(AgentStep.Order, error);
        return new AgentSocket(file);
    }

    private static int Connect(int fd, sockaddr_vm host) =>
        connect(fd, &host, (uint)sizeof(sockaddr_vm)) == 0 ? 0 : errno;

    public FileDescriptor File { get; }

    /// <summary>Whether a frame is on its way, behind which no other can begin yet.</summary>
    public bool IsBusy => _sent < _length;

    /// <summary>Begins to send a frame, and does not wait. Only when none is on its way.</summary>
    public void Begin(AgentFrameKind kind, ReadOnlySpan<byte> payload)
    {
        _sent = 0;
        _length = AgentFrame.Write(kind, payload, _frame);
        Continue();
    }

    /// <summary>Sends what the device takes now.</summary>
    public void Continue()
    {
        while (IsBusy)
        {
            nint written = File.Write(_frame.AsSpan(_sent, _length - _sent));
            if (written == -EAGAIN)
                return;
            if (written < 0 && written != -EINTR)
                _length = 0; // the machine is being taken away
            _sent += (int)Math.Max(written, 0);
        }
    }

    /// <summary>Waits until the device has taken the frame that is on its way.</summary>
    public void Finish()
    {
        while (IsBusy)
        {
            WaitFor(POLLOUT);
            Continue();
        }
    }

    /// <summary>Sends one frame, and waits until the device has taken it.</summary>
    public void Send(AgentFrameKind kind, ReadOnlySpan<byte> payload)
    {
        Finish();
        Begin(kind, payload);
        Finish();
    }

    /// <summary>
    /// Waits until the VMM has heard the last frame. It ends the machine then, or the connection; what was sent would
    /// be lost with a machine that is turned off at once.
    /// </summary>
    public void WaitUntilHeard()
    {
        do
            WaitFor(POLLIN);
        while (File.Read(_frame) is > 0 or -EINTR or -EAGAIN);
    }

    private void WaitFor(short events)
    {
        pollfd one = new() { fd = File.Value, events = events };
        poll(&one, 1, Timeout.Infinite);
    }

    public void Dispose() => File.Dispose();
}
