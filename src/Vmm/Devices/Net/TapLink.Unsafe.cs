using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>A queue of a TAP device that was made with IFF_NO_PI and IFF_VNET_HDR, opened with O_NONBLOCK.</summary>
public sealed unsafe class TapLink : PacketLink
{
    private readonly bool _isOneOfSeveral;
    private bool _isAttached = true;

    /// <param name="file">Owned from now on.</param>
    /// <param name="isOneOfSeveral">The device has IFF_MULTI_QUEUE.</param>
    /// <exception cref="HostException">It is no such device.</exception>
    public TapLink(FileDescriptor file, bool isOneOfSeveral)
        : base(file)
    {
        _isOneOfSeveral = isOneOfSeveral;
        int header = sizeof(virtio_net_hdr_v1);
        int error = file.Control(TUNSETVNETHDRSZ, &header);
        if (error < 0)
            throw new HostException(-error, "TUNSETVNETHDRSZ", "a TAP device", "it must have IFF_TAP and IFF_VNET_HDR");
    }

    public override int Configure(uint offloads, bool isUsed)
    {
        int result = File.Control(TUNSETOFFLOAD, (void*)offloads);
        if (result < 0 || !_isOneOfSeveral || isUsed == _isAttached)
            return result;
        ifreq request = new() { ifr_flags = (short)(isUsed ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE) };
        result = File.Control(TUNSETQUEUE, &request);
        _isAttached = result < 0 ? _isAttached : isUsed;
        return result;
    }
}
