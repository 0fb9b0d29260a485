using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// What system calls see of a socket of any family. Addresses are the bytes of a struct sockaddr, copied from the
/// guest. Calls that would have to wait answer -EAGAIN and are tried again when <see cref="Queue"/> says so; only
/// those that take a thread wait themselves.
/// </summary>
public abstract class Socket : OpenFile
{
    /// <summary>sizeof(struct sockaddr_storage): no address is longer.</summary>
    public const int MaximumAddress = 128;

    private ulong _switches;

    /// <param name="type">SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</param>
    protected Socket(int type, bool nonBlocking)
        : base(O_RDWR | (nonBlocking ? O_NONBLOCK : 0)) => Type = type;

    /// <summary>SO_TYPE.</summary>
    public int Type { get; }

    public bool IsStream => Type == SOCK_STREAM;

    public override bool IsMessageBased => !IsStream;

    /// <summary>SO_DOMAIN: an address family.</summary>
    public abstract int Domain { get; }

    /// <summary>SO_PROTOCOL.</summary>
    public abstract int Protocol { get; }

    /// <summary>SO_ACCEPTCONN.</summary>
    public abstract bool IsListening { get; }

    public override WaitQueue? Waiters => Queue;

    internal abstract WaitQueue Queue { get; }

    /// <summary>SO_RCVTIMEO and SO_SNDTIMEO in nanoseconds; 0 for none.</summary>
    public long ReceiveTimeout { get; set; }

    public long SendTimeout { get; set; }

    /// <summary>read(2) of nothing asks the socket for nothing (sock_read_iter); recv(2) does.</summary>
    public override long Read(GuestThread thread, Span<byte> buffer) => buffer.IsEmpty ? 0 : Read(buffer);

    public override long ReadDeadline(long startedAt) => Deadline(startedAt, ReceiveTimeout);

    public override long WriteDeadline(long startedAt) => Deadline(startedAt, SendTimeout);

    /// <summary>sock_intr_errno: a call that began anew would have its whole timeout again.</summary>
    public override long Interrupted(long deadline) => deadline == Parker.Forever ? Restart.System : -EINTR;

    private static long Deadline(long startedAt, long timeout) =>
        timeout == 0 || timeout > Parker.Forever - startedAt ? Parker.Forever : startedAt + timeout;

    /// <summary>Options of SOL_SOCKET that are on or off and only shown again.</summary>
    public bool GetSwitch(int option) => (Volatile.Read(ref _switches) >> option & 1) != 0;

    public void SetSwitch(int option, bool value)
    {
        if (value)
            Interlocked.Or(ref _switches, 1UL << option);
        else
            Interlocked.And(ref _switches, ~(1UL << option));
    }

    /// <summary>SO_SNDBUF and SO_RCVBUF as the kernel reports them: twice what was set.</summary>
    public abstract int SendBuffer { get; set; }

    public abstract int ReceiveBuffer { get; set; }

    /// <summary>SO_ERROR: read once.</summary>
    public abstract int TakeError();

    /// <summary>Options that only this family has.</summary>
    /// <param name="value">At least 16 bytes, for the answer.</param>
    /// <returns>The answer's length, or a negative errno.</returns>
    internal abstract long GetFamilyOption(int level, int option, Span<byte> value);

    internal abstract long SetFamilyOption(int level, int option, int value);

    /// <summary>Options of SOL_SOCKET that <see cref="SetSwitch"/> keeps took another value.</summary>
    internal virtual long OnSwitch(int option, bool value) => 0;

    internal abstract long Bind(GuestThread thread, ReadOnlySpan<byte> address);

    internal abstract long Listen(GuestThread thread, int backlog);

    internal abstract long TryAccept(GuestThread thread, out Socket? accepted);

    /// <summary>connect(2), waiting included.</summary>
    internal abstract long Connect(GuestThread thread, ReadOnlySpan<byte> address);

    /// <summary>getsockname(2).</summary>
    /// <param name="destination">At least <see cref="MaximumAddress"/>.</param>
    /// <returns>The address's length.</returns>
    internal abstract int FormatName(Span<byte> destination);

    /// <summary>getpeername(2): a length, or -ENOTCONN.</summary>
    internal abstract long FormatPeerName(Span<byte> destination);

    /// <summary>Whom a message came from; 0 for a stream's, or a sender without a name.</summary>
    internal abstract int FormatSender(in ReceivedMessage message, Span<byte> destination);

    /// <summary>Where a message with an address goes, to be released afterwards; waits if it has to ask.</summary>
    internal abstract long FindTarget(GuestThread thread, ReadOnlySpan<byte> address, out ISendTarget? target);

    /// <summary>Sends what fits (a stream) or the whole (a message).</summary>
    /// <param name="target">Null for the peer.</param>
    /// <param name="files">Travel with the first byte; they remain the caller's when the call fails.</param>
    internal abstract long Send(
        ReadOnlySpan<byte> data, int flags, in ucred credentials, ISendTarget? target, PassedFiles? files);

    /// <summary>Takes what is there.</summary>
    /// <param name="flags">MSG_PEEK is looked at.</param>
    internal abstract long Receive(Span<byte> buffer, int flags, out ReceivedMessage message);

    /// <param name="how">SHUT_RD, SHUT_WR or SHUT_RDWR.</param>
    public abstract long Shutdown(int how);
}

/// <summary>Where messages of a socket go that name an address.</summary>
interface ISendTarget
{
    /// <summary>Tells when there may be room again.</summary>
    WaitQueue Queue { get; }

    void Release();
}
