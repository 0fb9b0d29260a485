using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Devices.Net;

/// <summary>
/// One queue of packets to the outside: a descriptor that does not wait, on which each read and each write is one
/// packet behind a <see cref="virtio_net_hdr_v1"/>.
/// </summary>
/// <param name="file">Owned from now on.</param>
public unsafe class PacketLink(FileDescriptor file) : IDisposable
{
    public FileDescriptor File => file;

    /// <summary>Which packets the guest understands: TUN_F_*. And whether it looks at this queue.</summary>
    /// <returns>0 or a negative error number.</returns>
    public virtual int Configure(uint offloads, bool isUsed) => 0;

    /// <summary>The next packet: bytes, or a negative error number, -EAGAIN when there is none.</summary>
    internal nint Receive(Span<byte> packet)
    {
        nint count;
        do
            count = file.Read(packet);
        while (count == -EINTR);
        return count;
    }

    /// <summary>Sends one packet: bytes, or a negative error number.</summary>
    internal nint Send(ReadOnlySpan<iovec> pieces)
    {
        fixed (iovec* vector = pieces)
        {
            nint count;
            do
                count = writev(file.Value, vector, pieces.Length);
            while (count < 0 && errno == EINTR);
            return count < 0 ? -errno : count;
        }
    }

    public void Dispose()
    {
        file.Dispose();
        GC.SuppressFinalize(this);
    }
}
