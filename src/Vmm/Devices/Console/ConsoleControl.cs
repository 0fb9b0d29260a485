using System.Numerics;
using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Console;

/// <summary>
/// Messages about ports: virtio 1.2, 5.3.6.2. Each kind waits at most once for each port, with the value that holds
/// when it is sent.
/// </summary>
sealed class ConsoleControl(ConsoleStream[] streams, ConsoleMetrics metrics)
{
    private const uint MessageBytes = 8;

    // Told by other threads than the device's.
    private uint _size;
    private int _resized;

    /// <summary>Whether the driver has to be told something.</summary>
    public bool HasNews => Next() is not null;

    /// <summary>The terminals have another size. Any thread may call.</summary>
    public void Resize(ushort columns, ushort rows)
    {
        Volatile.Write(ref _size, columns | (uint)rows << 16);
        Interlocked.Exchange(ref _resized, 1);
    }

    /// <summary>Lets terminals know that the size has changed, if it has.</summary>
    public void TakeResize()
    {
        if (Interlocked.Exchange(ref _resized, 0) == 0)
            return;
        foreach (ConsoleStream stream in streams)
            if (stream.Port.IsConsole && stream.IsOpen)
                stream.Tell(VIRTIO_CONSOLE_RESIZE);
    }

    /// <summary>A message of the driver. What makes no sense is ignored and counted.</summary>
    public RequestResult Take(DescriptorChain chain)
    {
        if (!chain.TryRead(0, out virtio_console_control message))
            return RequestResult.Broken(QueueFault.Request);
        if (message.@event == VIRTIO_CONSOLE_DEVICE_READY)
        {
            if (message.value == 1)
                foreach (ConsoleStream stream in streams)
                    stream.Announce();
            return RequestResult.Done(0);
        }
        if (message.id >= (uint)streams.Length)
        {
            metrics.Refused++;
            return RequestResult.Done(0);
        }
        ConsoleStream port = streams[message.id];
        switch (message.@event)
        {
            case VIRTIO_CONSOLE_PORT_READY when message.value == 1:
                if (port.Port.IsConsole)
                    port.Tell(VIRTIO_CONSOLE_CONSOLE_PORT);
                port.Tell(VIRTIO_CONSOLE_PORT_NAME);
                port.Tell(VIRTIO_CONSOLE_PORT_OPEN);
                break;
            case VIRTIO_CONSOLE_PORT_OPEN when message.value <= 1:
                port.IsOpen = message.value == 1;
                // Terminals that were resized before anybody listened.
                if (port.IsOpen && port.Port.IsConsole && Volatile.Read(ref _size) != 0)
                    port.Tell(VIRTIO_CONSOLE_RESIZE);
                break;
            default:
                metrics.Refused++;
                break;
        }
        return RequestResult.Done(0);
    }

    /// <summary>Fills a chain with the next message to the driver.</summary>
    public RequestResult Give(DescriptorChain chain)
    {
        if (Next() is not { } number)
            return RequestResult.Blocked;
        ConsoleStream stream = streams[number];
        int kind = BitOperations.TrailingZeroCount(stream.News);
        virtio_console_control message = new()
        {
            id = (uint)number,
            @event = (ushort)kind,
            value = kind == VIRTIO_CONSOLE_PORT_OPEN ? stream.HostIsOpen : (ushort)1,
        };
        Span<byte> rest = stackalloc byte[ConsolePort.MaximumNameLength];
        int length = 0;
        if (kind == VIRTIO_CONSOLE_PORT_NAME)
            length = Encoding.ASCII.GetBytes(stream.Port.Name, rest);
        else if (kind == VIRTIO_CONSOLE_RESIZE)
            length = BitConverter.TryWriteBytes(rest, Volatile.Read(ref _size)) ? sizeof(uint) : 0;
        if (!chain.TryWrite(0, message) || !chain.TryWrite(MessageBytes, rest[..length]))
            return RequestResult.Broken(QueueFault.Request);
        stream.Told(kind);
        return RequestResult.Done(MessageBytes + (uint)length);
    }

    private int? Next()
    {
        for (int i = 0; i < streams.Length; i++)
            if (streams[i].News != 0)
                return i;
        return null;
    }
}
