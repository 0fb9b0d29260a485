using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Vsock;

enum VsockStage
{
    /// <summary>A client of the host has not said yet which port it wants.</summary>
    Greeting,

    /// <summary>The guest was asked.</summary>
    Requested,

    Open,

    /// <summary>The guest knows it no more, and the host has not taken all of it.</summary>
    Forgotten,
}

/// <summary>What the guest has to be told of a connection, as room in its queue allows. At most one of each.</summary>
[Flags]
enum VsockNews
{
    None = 0,
    Request = 1 << VIRTIO_VSOCK_OP_REQUEST,
    Response = 1 << VIRTIO_VSOCK_OP_RESPONSE,
    Shutdown = 1 << VIRTIO_VSOCK_OP_SHUTDOWN,
    CreditUpdate = 1 << VIRTIO_VSOCK_OP_CREDIT_UPDATE,
    CreditRequest = 1 << VIRTIO_VSOCK_OP_CREDIT_REQUEST,
}

/// <summary>One connection between a port of the host and a port of the guest: virtio 1.2, 5.10.6.</summary>
sealed class VsockConnection(VsockStream stream, int slot, uint hostPort)
{
    private uint _allocation;
    private uint _guestForwarded;
    private uint _sent;
    private uint _forwarded;
    private uint _toldForwarded;

    public VsockStream Stream => stream;

    /// <summary>Its place among the connections.</summary>
    public int Slot => slot;

    /// <summary>What its socket's events are called: no other's are for long.</summary>
    public int Source { get; init; }

    public uint HostPort => hostPort;

    public uint GuestPort { get; set; }

    public VsockStage Stage { get; set; }

    public VsockNews News { get; set; }

    public bool IsClosed { get; set; }

    /// <summary>The host's socket may have something to read.</summary>
    public bool MayRead { get; set; }

    /// <summary>VIRTIO_VSOCK_SHUTDOWN_*: what the host will not do any more, as the guest is told.</summary>
    public int HostEnded { get; set; }

    /// <summary>The same of the guest, as it said.</summary>
    public int GuestEnded { get; set; }

    /// <summary>The host has been told that nothing more comes from the guest.</summary>
    public bool HasEndedWriting { get; set; }

    /// <summary>Before this time of the monotonic clock it must be open, or what is left of it taken.</summary>
    public long Deadline { get; set; }

    /// <summary>How much the guest may send: what it was told is left.</summary>
    public int Room => VsockStream.Room - stream.Waiting;

    /// <summary>How much may be sent to the guest. What it says of itself may be nonsense; then it is none.</summary>
    public uint Credit
    {
        get
        {
            uint onTheWay = unchecked(_sent - _guestForwarded);
            return onTheWay >= _allocation ? 0 : _allocation - onTheWay;
        }
    }

    /// <summary>Whether the guest has to be told something, or data could be sent to it.</summary>
    public bool HasNews => News != VsockNews.None || MaySend;

    public bool MaySend =>
        Stage == VsockStage.Open && MayRead && Credit > 0
        && (HostEnded & VIRTIO_VSOCK_SHUTDOWN_SEND) == 0 && (GuestEnded & VIRTIO_VSOCK_SHUTDOWN_RCV) == 0;

    /// <summary>Whether the guest believes half of its credit to be spent that is not.</summary>
    public bool OwesCredit => unchecked(_forwarded - _toldForwarded) >= VsockStream.Room / 2;

    public void SetCredit(in virtio_vsock_hdr head) => (_allocation, _guestForwarded) = (head.buf_alloc, head.fwd_cnt);

    /// <summary>The host took bytes of the guest.</summary>
    public void CountForwarded(int bytes) => _forwarded += (uint)bytes;

    /// <summary>Bytes are on their way to the guest.</summary>
    public void CountSent(uint bytes) => _sent += bytes;

    /// <summary>The head of a packet to the guest, with the present credit.</summary>
    public virtio_vsock_hdr Head(ulong guest, int operation, uint length = 0)
    {
        _toldForwarded = _forwarded;
        News &= ~VsockNews.CreditUpdate;
        return new virtio_vsock_hdr
        {
            src_cid = VsockDevice.HostCid,
            dst_cid = guest,
            src_port = HostPort,
            dst_port = GuestPort,
            len = length,
            type = VIRTIO_VSOCK_TYPE_STREAM,
            op = (ushort)operation,
            flags = operation == VIRTIO_VSOCK_OP_SHUTDOWN ? (uint)HostEnded : 0,
            buf_alloc = VsockStream.Room,
            fwd_cnt = _forwarded,
        };
    }
}
