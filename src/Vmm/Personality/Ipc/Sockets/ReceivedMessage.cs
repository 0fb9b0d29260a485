using Sandbox.Host;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>What came with the bytes that a socket delivered.</summary>
struct ReceivedMessage
{
    /// <summary>Who sent them; pid 0 when nothing was received.</summary>
    public ucred Sender;

    /// <summary>The sender's address, for datagrams.</summary>
    public SocketAddress? From;

    /// <summary>The same, for Internet sockets.</summary>
    public InternetAddress Source;

    /// <summary>SCM_RIGHTS: the receiver's to install or release.</summary>
    public PassedFiles? Files;

    /// <summary>The datagram's full length, when the buffer was shorter.</summary>
    public int FullLength;

    public bool IsTruncated;
}
