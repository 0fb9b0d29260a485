using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.Libc;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Console;

/// <summary>One port at work: between its queues and its descriptors. Runs on the device's one thread.</summary>
sealed unsafe class ConsoleStream(ConsolePort port, ConsoleMetrics metrics)
{
    private readonly iovec[] _buffers = new iovec[ConsoleDevice.QueueSize];
    private FileDescriptor? _output = port.Output;
    private uint _written;
    private bool _hasEnded;
    private bool _isAnnounced;

    public ConsolePort Port => port;

    /// <summary>What the driver has to be told: bits are VIRTIO_CONSOLE_*, the lowest first.</summary>
    public int News { get; private set; }

    /// <summary>Whether the guest listens. Without VIRTIO_CONSOLE_F_MULTIPORT it always does.</summary>
    public bool IsOpen { get; set; }

    /// <summary>The host's descriptor may have something to read.</summary>
    public bool MayRead { get; set; } = true;

    /// <summary>1 while the host has something to say on this port.</summary>
    public ushort HostIsOpen => (ushort)(port.Input is null || _hasEnded ? 0 : 1);

    /// <summary>Lets the driver know that the port is there, once: one that exists is not added (5.3.6.2.1).</summary>
    public void Announce()
    {
        if (!_isAnnounced)
            Tell(VIRTIO_CONSOLE_PORT_ADD);
        _isAnnounced = true;
    }

    public void Tell(int message) => News |= 1 << message;

    public void Told(int message) => News &= ~(1 << message);

    public void Reset()
    {
        News = 0;
        IsOpen = _isAnnounced = false;
        _written = 0;
    }

    /// <summary>
    /// Writes a chain of the guest's to the host. False when the host takes no more now: the same chain goes on later.
    /// </summary>
    public bool TryWrite(DescriptorChain chain)
    {
        while (_written < chain.ReadableBytes && _output is { } output)
        {
            int count = chain.MapReadable(_written, chain.ReadableBytes - _written, _buffers);
            nint moved;
            fixed (iovec* vector = _buffers)
                moved = writev(output.Value, vector, count);
            if (moved < 0 && errno == EINTR)
                continue;
            if (moved < 0 && errno == EAGAIN)
                return false;
            // Nobody will read it any more: as with a terminal that was closed, it is lost.
            if (moved <= 0)
                break;
            _written += (uint)moved;
            metrics.BytesFromGuest += moved;
        }
        _written = 0;
        return true;
    }

    /// <summary>Nothing is written to the host any more. While the device's thread stands still.</summary>
    public void EndOutput()
    {
        _output?.Dispose();
        _output = null;
    }

    /// <summary>Reads from the host into a chain of the guest's: bytes, or 0 when there is nothing now.</summary>
    public uint Read(DescriptorChain chain)
    {
        int count = chain.MapWritable(0, chain.WritableBytes, _buffers);
        nint moved;
        fixed (iovec* vector = _buffers)
        {
            do
                moved = readv(port.Input!.Value, vector, count);
            while (moved < 0 && errno == EINTR);
        }
        if (moved > 0)
        {
            metrics.BytesToGuest += moved;
            return (uint)moved;
        }
        MayRead = false;
        if (moved < 0 && errno == EAGAIN)
            return 0;
        _hasEnded = true;
        Tell(VIRTIO_CONSOLE_PORT_OPEN);
        return 0;
    }

    /// <summary>Whether something of the host could be read for the guest.</summary>
    public bool HasInput => IsOpen && MayRead && !_hasEnded && port.Input is not null;
}
