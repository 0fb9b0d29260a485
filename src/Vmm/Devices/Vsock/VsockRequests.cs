using System.Buffers.Text;
using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.VirtioAbi;

namespace Sandbox.Vmm.Devices.Vsock;

/// <summary>The protocol of packets: virtio 1.2, 5.10.6. Runs on the device's one thread.</summary>
sealed class VsockRequests(ulong guestCid, IVsockHost host, VsockConnections connections, VsockMetrics metrics)
{
    private const uint HeadBytes = 44;

    /// <summary>No packet has more data, either way.</summary>
    private const uint PacketBytes = 64 << 10;

    /// <summary>Resets of what is no connection, which wait for the guest to take them.</summary>
    private const int StrayLimit = 256;

    /// <summary>Questions to the host that it has not answered. Connections that need another are refused.</summary>
    private const int AskedLimit = 64;

    /// <summary>"CONNECT 4294967295\n" and some blanks.</summary>
    private const int GreetingBytes = 32;

    private const int Both = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;

    private readonly iovec[] _buffers = new iovec[256];
    private readonly Queue<(uint HostPort, uint GuestPort)> _strays = new(StrayLimit);

    /// <summary>What the host is asked, until it answers; null where the guest does not want it any more.</summary>
    private readonly Dictionary<ulong, virtio_vsock_hdr?> _asked = new(AskedLimit);
    private ulong _lastNumber;

    public VsockConnections Connections => connections;

    /// <summary>Whether there may be something for the guest.</summary>
    public bool HasNews => _strays.Count > 0 || connections.Ready > 0;

    /// <summary>Takes a packet of the guest.</summary>
    public RequestResult Take(DescriptorChain chain)
    {
        if (!chain.TryRead(0, out virtio_vsock_hdr head))
            return RequestResult.Broken(QueueFault.Request);
        uint length = head.len;
        bool isWhole = length <= PacketBytes && length <= chain.ReadableBytes - HeadBytes;
        if (head.src_cid != guestCid || head.dst_cid != VsockDevice.HostCid)
        {
            metrics.Dropped++;
            return RequestResult.Done(0);
        }
        VsockConnection? connection = connections.Find(head.dst_port, head.src_port);
        if (!isWhole || head.type != VIRTIO_VSOCK_TYPE_STREAM)
        {
            Refuse(connection, head);
            return RequestResult.Done(0);
        }
        if (connection is null)
        {
            // Nothing but its end may be said of a connection before it is there.
            bool wasAsked = Withdraw(head);
            if (head.op == VIRTIO_VSOCK_OP_REQUEST && !wasAsked)
                Connect(head);
            else if (head.op != VIRTIO_VSOCK_OP_RST)
                Refuse(null, head);
            return RequestResult.Done(0);
        }
        connection.SetCredit(head);
        switch (head.op)
        {
            case VIRTIO_VSOCK_OP_RESPONSE when connection.Stage == VsockStage.Requested:
                Answered(connection);
                break;
            // Linux resets what was not ended in 8 s; a host that reads slowly still gets what was sent before.
            case VIRTIO_VSOCK_OP_RST when connection.GuestEnded == Both && connection.Stream.Waiting > 0:
                connections.Forget(connection);
                break;
            case VIRTIO_VSOCK_OP_RST:
                connections.Close(connection);
                break;
            case VIRTIO_VSOCK_OP_SHUTDOWN when connection.Stage == VsockStage.Open:
                connection.GuestEnded |= (int)head.flags & Both;
                EndIfDone(connection);
                break;
            case VIRTIO_VSOCK_OP_RW when MayWrite(connection, length):
                Write(connection, chain, (int)length);
                break;
            case VIRTIO_VSOCK_OP_CREDIT_UPDATE when connection.Stage == VsockStage.Open:
                break;
            case VIRTIO_VSOCK_OP_CREDIT_REQUEST when connection.Stage == VsockStage.Open:
                connection.News |= VsockNews.CreditUpdate;
                break;
            default:
                Refuse(connection, head);
                break;
        }
        connections.Enqueue(connection);
        return RequestResult.Done(0);
    }

    /// <summary>Fills a chain of the guest's with the next packet.</summary>
    public RequestResult Give(DescriptorChain chain)
    {
        if (chain.WritableBytes < HeadBytes)
            return RequestResult.Broken(QueueFault.Request);
        if (_strays.TryDequeue(out (uint HostPort, uint GuestPort) stray))
        {
            chain.TryWrite(0, Reset(stray.HostPort, stray.GuestPort));
            return RequestResult.Done(HeadBytes);
        }
        uint bytes = 0;
        while (bytes == 0 && connections.Dequeue() is { } connection)
        {
            bytes = Give(connection, chain);
            connections.Enqueue(connection);
        }
        return bytes == 0 ? RequestResult.Blocked : RequestResult.Done(bytes);
    }

    /// <summary>A client of the host has come.</summary>
    public void Welcome(FileDescriptor file)
    {
        if (connections.AddFromHost(file) is { } connection)
            Greet(connection);
        else
            metrics.Refused++;
    }

    /// <summary>The host has connected a port, or has not, for which it wanted time.</summary>
    public void Answer(ulong number, FileDescriptor? file)
    {
        if (!_asked.Remove(number, out virtio_vsock_hdr? asked) || asked is not { } head)
            file?.Dispose();
        else if (file is null)
            Refuse(head);
        else
            Accept(head, file);
    }

    /// <summary>A connection's socket changed.</summary>
    public void OnReady(int source, uint events)
    {
        if (connections.OfSource(source) is { } connection)
            OnReady(connection, events);
    }

    private void OnReady(VsockConnection connection, uint events)
    {
        connection.MayRead |= (events & ~(uint)Libc.EPOLLOUT) != 0;
        if (connection.Stage == VsockStage.Greeting)
            Greet(connection);
        else
            Flush(connection);
        // Nobody is left who could read or write.
        if (!connection.IsClosed && (events & Libc.EPOLLHUP) != 0 && connection.Stage == VsockStage.Open)
            End(connection, VIRTIO_VSOCK_SHUTDOWN_RCV);
        connections.Enqueue(connection);
    }

    /// <summary>Looks at every connection: what happened meanwhile was not told.</summary>
    public void OnResumed()
    {
        for (int slot = 0; slot < VsockConnections.Limit; slot++)
            if (connections.At(slot) is { } connection)
                OnReady(connection, (uint)Libc.EPOLLIN | Libc.EPOLLOUT);
    }

    /// <summary>Ends connections that were not opened in time, and those that the host takes too long to finish.</summary>
    public void Expire()
    {
        while (connections.NextExpired() is { } late)
        {
            if (late.Stage != VsockStage.Forgotten)
                metrics.Refused++;
            if (late.Stage == VsockStage.Requested)
                AddStray(late.HostPort, late.GuestPort);
            connections.Close(late);
        }
    }

    /// <summary>Nothing more comes from the guest, which answers nobody any more.</summary>
    public void EndGuest()
    {
        for (int slot = 0; slot < VsockConnections.Limit; slot++)
        {
            switch (connections.At(slot))
            {
                case { Stage: VsockStage.Open } connection:
                    connection.GuestEnded |= VIRTIO_VSOCK_SHUTDOWN_SEND;
                    EndIfDone(connection);
                    break;
                case { Stage: VsockStage.Greeting or VsockStage.Requested } connection:
                    metrics.Refused++;
                    connections.Close(connection);
                    break;
            }
        }
    }

    public void Reset()
    {
        connections.CloseAll();
        _strays.Clear();
        // The host still answers what it was asked: a guest that resets may not ask for more at once than others.
        foreach (ulong number in _asked.Keys)
            _asked[number] = null;
    }

    private void Connect(in virtio_vsock_hdr head)
    {
        FileDescriptor? file = null;
        bool hasRoom = connections.Count < VsockConnections.Limit && _asked.Count < AskedLimit;
        switch (hasRoom ? host.Connect(head.dst_port, ++_lastNumber, out file) : VsockReply.Refused)
        {
            case VsockReply.Connected:
                Accept(head, file!);
                break;
            case VsockReply.Later:
                _asked.Add(_lastNumber, head);
                break;
            default:
                Refuse(head);
                break;
        }
    }

    private void Accept(in virtio_vsock_hdr head, FileDescriptor file)
    {
        if (connections.AddFromGuest(file, head.dst_port, head.src_port) is not { } connection)
        {
            Refuse(head);
            return;
        }
        metrics.Opened++;
        connection.SetCredit(head);
        connection.News |= VsockNews.Response;
        connections.Enqueue(connection);
    }

    /// <summary>A connection that the guest opens and does not get.</summary>
    private void Refuse(in virtio_vsock_hdr head)
    {
        metrics.Refused++;
        AddStray(head.dst_port, head.src_port);
    }

    /// <summary>The guest does not want what the host was asked for these ports any more.</summary>
    /// <returns>Whether it was asked.</returns>
    private bool Withdraw(in virtio_vsock_hdr head)
    {
        foreach ((ulong number, virtio_vsock_hdr? asked) in _asked)
        {
            if (asked?.dst_port != head.dst_port || asked?.src_port != head.src_port)
                continue;
            _asked[number] = null;
            return true;
        }
        return false;
    }

    private void Refuse(VsockConnection? connection, in virtio_vsock_hdr head)
    {
        metrics.PacketsReset++;
        if (connection is not null)
            connections.Close(connection);
        // A reset is never answered with one (5.10.6.6).
        if (head.op != VIRTIO_VSOCK_OP_RST)
            AddStray(head.dst_port, head.src_port);
    }

    private void AddStray(uint hostPort, uint guestPort)
    {
        if (_strays.Count < StrayLimit)
            _strays.Enqueue((hostPort, guestPort));
        else
            metrics.Dropped++;
    }

    private void Answered(VsockConnection connection)
    {
        connection.Stage = VsockStage.Open;
        metrics.Opened++;
        Span<byte> line = stackalloc byte[GreetingBytes];
        Encoding.ASCII.TryGetBytes($"OK {connection.HostPort}\n", line, out int length);
        // Nothing was sent on this socket before: it has room for a line, or nobody is there any more.
        if (connection.Stream.Send(line[..length]) != length)
            Drop(connection);
    }

    private static bool MayWrite(VsockConnection connection, uint length) =>
        connection.Stage == VsockStage.Open
        && (connection.GuestEnded & VIRTIO_VSOCK_SHUTDOWN_SEND) == 0
        && length <= (uint)connection.Room;

    private void Write(VsockConnection connection, DescriptorChain chain, int length)
    {
        metrics.BytesFromGuest += length;
        int taken = length == 0 ? 0 : connection.Stream.Write(chain, HeadBytes, length, _buffers);
        if (taken < 0)
            Drop(connection);
        else
            Forward(connection, taken);
    }

    private void Flush(VsockConnection connection)
    {
        int taken = connection.Stream.Flush();
        if (taken < 0)
            Drop(connection);
        else
            Forward(connection, taken);
    }

    private void Forward(VsockConnection connection, int bytes)
    {
        connection.CountForwarded(bytes);
        if (connection.Stage == VsockStage.Open && connection.OwesCredit)
            connection.News |= VsockNews.CreditUpdate;
        EndIfDone(connection);
    }

    /// <summary>What the guest ended is ended on the host once all its bytes are there.</summary>
    private void EndIfDone(VsockConnection connection)
    {
        if (connection.GuestEnded == 0 || connection.Stream.Waiting > 0)
            return;
        if (connection.GuestEnded == Both)
        {
            Drop(connection);
        }
        else if (connection.GuestEnded == VIRTIO_VSOCK_SHUTDOWN_SEND && !connection.HasEndedWriting)
        {
            connection.HasEndedWriting = true;
            connection.Stream.EndWriting();
        }
    }

    /// <summary>Ends a connection, and tells the guest, if it knows of it.</summary>
    private void Drop(VsockConnection connection)
    {
        connections.Close(connection);
        if (connection.Stage != VsockStage.Forgotten)
            AddStray(connection.HostPort, connection.GuestPort);
    }

    private void End(VsockConnection connection, int side)
    {
        if ((connection.HostEnded & side) != 0)
            return;
        connection.HostEnded |= side;
        connection.News |= VsockNews.Shutdown;
    }

    private uint Give(VsockConnection connection, DescriptorChain chain)
    {
        if (connection.News != VsockNews.None)
        {
            // The lowest bit first: what opens a connection comes before what happens to it. But what the host wrote
            // before it closed comes before the end.
            VsockNews next = (VsockNews)((int)connection.News & -(int)connection.News);
            bool isEnd = next == VsockNews.Shutdown;
            if (!isEnd || !connection.MaySend)
            {
                connection.News &= ~next;
                chain.TryWrite(0, connection.Head(guestCid, System.Numerics.BitOperations.Log2((uint)next)));
                return HeadBytes;
            }
        }
        if (!connection.MaySend)
            return 0;
        uint room = Math.Min(Math.Min(chain.WritableBytes - HeadBytes, PacketBytes), connection.Credit);
        // A buffer for a head alone would stay the next one for ever: it goes back with what is never wrong to say.
        if (room == 0)
        {
            chain.TryWrite(0, connection.Head(guestCid, VIRTIO_VSOCK_OP_CREDIT_UPDATE));
            return HeadBytes;
        }
        int read = connection.Stream.Read(chain, HeadBytes, room, _buffers);
        if (read <= 0)
        {
            connection.MayRead = false;
            if (read == -Libc.EAGAIN)
                return 0;
            if (read < 0)
                Drop(connection);
            else
                End(connection, VIRTIO_VSOCK_SHUTDOWN_SEND);
            return 0;
        }
        connection.CountSent((uint)read);
        metrics.BytesToGuest += read;
        chain.TryWrite(0, connection.Head(guestCid, VIRTIO_VSOCK_OP_RW, (uint)read));
        if (connection.Credit == 0)
            connection.News |= VsockNews.CreditRequest;
        return HeadBytes + (uint)read;
    }

    /// <summary>Reads "CONNECT PORT\n" and not a byte behind it.</summary>
    private void Greet(VsockConnection connection)
    {
        Span<byte> line = stackalloc byte[GreetingBytes];
        int length = connection.Stream.Peek(line);
        if (length == -Libc.EAGAIN)
            return;
        int end = length > 0 ? line[..length].IndexOf((byte)'\n') : -1;
        if (end < 0 && length > 0 && length < GreetingBytes)
            return;
        ReadOnlySpan<byte> verb = "CONNECT "u8;
        ReadOnlySpan<byte> text = end < 0 ? default : line[..end];
        if (text.StartsWith(verb)
            && Utf8Parser.TryParse(text[verb.Length..], out uint port, out int used)
            && used == text.Length - verb.Length
            && connection.Stream.Take(line[..(end + 1)]) == end + 1
            && connections.TryName(connection, port))
        {
            connection.News |= VsockNews.Request;
            connections.Enqueue(connection);
            return;
        }
        metrics.Refused++;
        connections.Close(connection);
    }

    private virtio_vsock_hdr Reset(uint hostPort, uint guestPort) => new()
    {
        src_cid = VsockDevice.HostCid,
        dst_cid = guestCid,
        src_port = hostPort,
        dst_port = guestPort,
        type = VIRTIO_VSOCK_TYPE_STREAM,
        op = VIRTIO_VSOCK_OP_RST,
    };
}
