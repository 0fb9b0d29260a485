using Sandbox.Host;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

// Sending and receiving.
public sealed partial class UnixSocket
{
    /// <summary>Messages in one queue; small ones would otherwise cost far more than the bytes they hold.</summary>
    private const int MaximumMessages = 512;

    /// <summary>A stream's bytes are kept in pieces of at most this.</summary>
    private const int MaximumPiece = 64 * 1024;

    private SocketMessage? _first;
    private SocketMessage? _last;
    private int _queuedBytes;
    private int _queuedMessages;

    public override long Read(Span<byte> buffer)
    {
        long result = Receive(buffer, peek: false, out ReceivedMessage message);
        message.Files?.Release();
        return result;
    }

    public override long Write(ReadOnlySpan<byte> buffer) => Send(buffer, _credentials, null, null);

    public override long Write(GuestThread thread, ReadOnlySpan<byte> buffer) =>
        Send(buffer, CredentialsOf(thread), null, null);

    internal static ucred CredentialsOf(GuestThread thread)
    {
        Credentials credentials = thread.Process.Credentials;
        return new ucred { pid = thread.Process.Pid, uid = credentials.EffectiveUid, gid = credentials.EffectiveGid };
    }

    /// <summary>Sends what fits (a stream) or the whole (a datagram or packet), without waiting.</summary>
    /// <param name="target">Where a datagram goes; null for the peer.</param>
    /// <param name="files">Travel with the first byte; they remain the caller's when the call fails.</param>
    /// <returns>
    /// Bytes sent, or a negative errno: -EAGAIN, -EPIPE, -ENOTCONN, -ECONNREFUSED, -EMSGSIZE, -EPERM...
    /// </returns>
    internal long Send(ReadOnlySpan<byte> data, in ucred credentials, UnixSocket? target, PassedFiles? files)
    {
        SocketAddress from;
        lock (_lock)
        {
            if (_error != 0 && IsConnectionBased)
            {
                int error = _error;
                _error = 0;
                return -error;
            }
            if (_sendShut)
                return -EPIPE;
            if (target is null && _state != State.Connected)
                return -ENOTCONN;
            target ??= _peer!;
            from = LocalAddress;
        }
        if (IsStream)
            return data.IsEmpty ? 0 : target.EnqueueBytes(this, data, credentials, files);
        if (data.Length > _sendBuffer - 32)
            return -EMSGSIZE;
        return target.EnqueueMessage(this, from, data, credentials, files);
    }

    private long EnqueueBytes(UnixSocket sender, ReadOnlySpan<byte> data, in ucred credentials, PassedFiles? files)
    {
        int sent = 0;
        lock (_lock)
        {
            if (_closed || _receiveShut)
                return -EPIPE;
            int room = Math.Max(0, sender._sendBuffer - _queuedBytes);
            data = data[..Math.Min(data.Length, room)];
            if (files is null && _last is { Files: null } last && SameSender(last.Sender, credentials))
                sent = last.Append(data);
            while (sent < data.Length && _queuedMessages < MaximumMessages)
            {
                ReadOnlySpan<byte> rest = data[sent..];
                SocketMessage? message = SocketMessage.TryCreate(
                    _space.Memory, Math.Min(rest.Length, MaximumPiece), credentials);
                if (message is null)
                    break;
                sent += message.Append(rest);
                message.Files = files;
                files = null;
                Append(message);
            }
            _queuedBytes += sent;
            if (sent == 0)
                return _first is null ? -ENOBUFS : -EAGAIN;
        }
        _waiters.Notify(PollEvents.Readable);
        return sent;
    }

    private static bool SameSender(in ucred a, in ucred b) => a.pid == b.pid && a.uid == b.uid && a.gid == b.gid;

    private long EnqueueMessage(
        UnixSocket sender, SocketAddress from, ReadOnlySpan<byte> data, in ucred credentials, PassedFiles? files)
    {
        if (!IsConnectionBased && !Accepts(sender))
            return -EPERM;
        lock (_lock)
        {
            if (_closed)
                return IsConnectionBased ? -EPIPE : -ECONNREFUSED;
            if (_receiveShut)
                return -EPIPE;
            if (_first is not null
                && (_queuedBytes + data.Length > sender._sendBuffer || _queuedMessages >= MaximumMessages))
                return -EAGAIN;
            SocketMessage? message = SocketMessage.TryCreate(_space.Memory, data.Length, credentials, from);
            if (message is null)
                return _first is null ? -ENOBUFS : -EAGAIN;
            message.Append(data);
            message.Files = files;
            _queuedBytes += data.Length;
            Append(message);
        }
        _waiters.Notify(PollEvents.Readable);
        return data.Length;
    }

    private void Append(SocketMessage message)
    {
        if (_last is null)
            _first = message;
        else
            _last.Next = message;
        _last = message;
        _queuedMessages++;
    }

    private SocketMessage RemoveFirst()
    {
        SocketMessage message = _first!;
        _first = message.Next;
        if (_first is null)
            _last = null;
        _queuedMessages--;
        return message;
    }

    private SocketMessage? TakeAllMessages()
    {
        SocketMessage? first = _first;
        _first = _last = null;
        _queuedBytes = _queuedMessages = 0;
        return first;
    }

    private void Discard(SocketMessage? message)
    {
        for (; message is not null; message = message.Next)
        {
            message.Files?.Release();
            message.Free(_space.Memory);
        }
    }

    /// <summary>Takes what is there, without waiting.</summary>
    /// <param name="peek">MSG_PEEK: leaves everything in the queue.</param>
    /// <returns>Bytes, 0 at the end of a connection (or for an empty datagram), or a negative errno.</returns>
    internal long Receive(Span<byte> buffer, bool peek, out ReceivedMessage message)
    {
        message = default;
        long result;
        UnixSocket? peer;
        lock (_lock)
        {
            if (IsConnectionBased && _state != State.Connected)
                return IsStream ? -EINVAL : -ENOTCONN;
            if (_first is null)
            {
                if (_error != 0)
                {
                    int error = _error;
                    _error = 0;
                    return -error;
                }
                return _receiveShut ? 0 : -EAGAIN;
            }
            result = IsStream ? TakeBytes(buffer, peek, ref message) : TakeMessage(buffer, peek, ref message);
            peer = _peer;
        }
        if (!peek && result >= 0)
        {
            // Blocked senders of datagrams wait here; connected ones at their own queue.
            if (IsConnectionBased)
                peer?._waiters.Notify(PollEvents.Writable);
            else
                NotifySenders();
        }
        return result;
    }

    private void NotifySenders()
    {
        if (IsConnectionBased)
            return;
        _waiters.Notify(PollEvents.Writable);
        lock (_lock)
        {
            if (_senders is null)
                return;
            foreach (UnixSocket sender in _senders)
                sender._waiters.Notify(PollEvents.Writable);
        }
    }

    private long TakeBytes(Span<byte> buffer, bool peek, ref ReceivedMessage received)
    {
        int copied = 0;
        SocketMessage? message = _first;
        while (message is not null && copied < buffer.Length)
        {
            // Bytes of different senders are not joined for those who want to know the sender.
            if (copied > 0 && PassCredentials && !SameSender(received.Sender, message.Sender))
                break;
            received.Sender = message.Sender;
            int count = Math.Min(message.Length, buffer.Length - copied);
            message.Data[..count].CopyTo(buffer[copied..]);
            copied += count;

            SocketMessage? next = message.Next;
            if (message.Files is { } files)
            {
                received.Files = peek ? files.Duplicate() : files;
                if (!peek)
                    message.Files = null;
            }
            if (!peek)
            {
                message.Consume(count);
                _queuedBytes -= count;
                if (message.Length == 0)
                    RemoveFirst().Free(_space.Memory);
            }
            // Descriptors end a read: their bytes are the last it takes.
            if (received.Files is not null)
                break;
            message = next;
        }
        return copied;
    }

    private long TakeMessage(Span<byte> buffer, bool peek, ref ReceivedMessage received)
    {
        SocketMessage message = _first!;
        int count = Math.Min(message.Length, buffer.Length);
        message.Data[..count].CopyTo(buffer);
        received.Sender = message.Sender;
        received.From = message.From;
        received.FullLength = message.Length;
        received.IsTruncated = count < message.Length;
        received.Files = peek ? message.Files?.Duplicate() : message.Files;
        if (!peek)
        {
            message.Files = null;
            _queuedBytes -= message.Length;
            RemoveFirst().Free(_space.Memory);
        }
        return count;
    }

    /// <summary>FIONREAD: bytes of a stream, or of the first message.</summary>
    public int Available
    {
        get
        {
            lock (_lock)
                return IsStream ? _queuedBytes : _first?.Length ?? 0;
        }
    }

    public override long Ioctl(GuestThread thread, uint request, ulong argument)
    {
        switch (request)
        {
            case FIONREAD:
                return thread.Memory.TryWrite(new Memory.VirtualAddress(argument), Available) ? 0 : -EFAULT;
            case SIOCOUTQ:
                UnixSocket? peer = _peer;
                int unread = 0;
                if (peer is not null)
                {
                    lock (peer._lock)
                        unread = peer._queuedBytes;
                }
                return thread.Memory.TryWrite(new Memory.VirtualAddress(argument), unread) ? 0 : -EFAULT;
            default:
                return -ENOTTY;
        }
    }
}
