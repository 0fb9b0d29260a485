using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>The byte stream to the VMM.</summary>
sealed unsafe class AgentSocket : IDisposable
{
    private readonly byte[] _frame = new byte[AgentFrame.HeaderSize + AgentFrame.MaximumPayload];

    /// <exception cref="AgentException">There is no socket device, or nobody answers.</exception>
    public AgentSocket()
    {
        int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            throw new AgentException(AgentStep.Order, errno);
        File = new FileDescriptor(fd);
        sockaddr_vm host = new() { svm_family = AF_VSOCK, svm_cid = VMADDR_CID_HOST, svm_port = AgentFrame.Port };
        int error = 0;
        // A moment passes between the driver's arrival and the device's.
        if (!Patience.Until(() => (error = Connect(host)) == 0))
            throw new AgentException(AgentStep.Order, error);
    }

    public FileDescriptor File { get; }

    /// <summary>Sends one frame, and waits until the device has taken it.</summary>
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
    }

    /// <summary>
    /// Waits until the VMM has heard the last frame. It ends the machine then, or the connection; what was sent would be
    /// lost with a machine that is turned off at once.
    /// </summary>
    public void WaitUntilHeard()
    {
        while (File.Read(_frame) is > 0 or -EINTR)
        {
        }
    }

    private int Connect(sockaddr_vm host) => connect(File.Value, &host, (uint)sizeof(sockaddr_vm)) == 0 ? 0 : errno;

    public void Dispose() => File.Dispose();
}
