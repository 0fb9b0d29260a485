using System.Buffers;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// send(2), recv(2) and their relatives.
static partial class SocketCalls
{
    /// <summary>The largest message that any buffer setting allows.</summary>
    private const int MaximumMessage = 2 * UnixSocket.DefaultBuffer;

    private static void RegisterMessages(SystemCallTable table)
    {
        table.Add(SYS_sendto, "sendto", SendTo, "fd str size flags:MSG ptr size");
        table.Add(SYS_recvfrom, "recvfrom", RecvFrom, "fd buf size flags:MSG ptr ptr");
        table.Add(SYS_sendmsg, "sendmsg", SendMsg, "fd ptr flags:MSG");
        table.Add(SYS_recvmsg, "recvmsg", RecvMsg, "fd ptr flags:MSG");
        table.Add(SYS_sendmmsg, "sendmmsg", SendMMsg, "fd ptr uint flags:MSG", atExit: true);
        table.Add(SYS_recvmmsg, "recvmmsg", RecvMMsg, "fd ptr uint flags:MSG timespec", atExit: true);
    }

    /// <summary>struct user_msghdr with addresses of the guest.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct GuestMessage
    {
        public ulong Name;
        public int NameLength;
        private readonly int _padding0;
        public ulong Vector;
        public ulong VectorCount;
        public ulong Control;
        public ulong ControlLength;
        public int Flags;
        private readonly int _padding1;

        public const ulong NameLengthOffset = 8;
        public const ulong ControlLengthOffset = 40;
        public const ulong FlagsOffset = 48;
        public const ulong Size = 56;
    }

    private static long SendTo(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        result = GuestBuffers.TryCreate(thread.Memory, a.A1, a.A2, out GuestBuffers source);
        Span<byte> buffer = stackalloc byte[Ipc.Socket.MaximumAddress];
        if (result == 0 && a.A4 != 0)
            result = ReadAddress(thread, a.A4, a.Int5, buffer);
        if (result >= 0)
            result = Send(
                thread, socket, ref source, a.Int3, buffer[..(int)result], UnixSocket.CredentialsOf(thread), null);
        socket.Release();
        return result;
    }

    private static long SendMsg(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        result = SendMessage(thread, socket, a.A1, a.Int2);
        socket.Release();
        return result;
    }

    private static long ReadHeader(
        GuestThread thread, ulong pointer, out GuestMessage header, out GuestBuffers buffers)
    {
        buffers = default;
        if (!thread.Memory.TryRead(new VirtualAddress(pointer), out header))
            return -EFAULT;
        if (header.NameLength < 0)
            return -EINVAL;
        return header.VectorCount > UIO_MAXIOV
            ? -EMSGSIZE
            : GuestBuffers.TryCreate(
                thread.Memory, header.Vector, header.VectorCount, thread.VectorBuffer, out buffers);
    }

    private static long SendMessage(GuestThread thread, Socket socket, ulong pointer, int flags)
    {
        long result = ReadHeader(thread, pointer, out GuestMessage header, out GuestBuffers buffers);
        if (result != 0)
            return result;
        Span<byte> buffer = stackalloc byte[Ipc.Socket.MaximumAddress];
        int addressLength = 0;
        if (header.Name != 0 && header.NameLength > 0)
        {
            addressLength = Math.Min(header.NameLength, buffer.Length);
            result = ReadAddress(thread, header.Name, addressLength, buffer);
            if (result < 0)
                return result;
        }
        ucred credentials = UnixSocket.CredentialsOf(thread);
        result = AncillaryData.TryRead(
            thread, header.Control, header.ControlLength, ref credentials, out PassedFiles? files);
        if (result != 0)
            return result;
        return Send(thread, socket, ref buffers, flags, buffer[..addressLength], credentials, files);
    }

    /// <summary>Sends to the peer or an address; takes over <paramref name="files"/>.</summary>
    /// <param name="address">Empty for the peer.</param>
    private static long Send(
        GuestThread thread, Socket socket, ref GuestBuffers source, int flags, scoped ReadOnlySpan<byte> address,
        in ucred credentials, PassedFiles? files)
    {
        ISendTarget? target = null;
        long result = 0;
        if (socket is not UnixSocket)
        {
            // SCM_RIGHTS means nothing to other sockets.
            files?.Release();
            files = null;
        }
        if ((flags & MSG_OOB) != 0)
            result = -EOPNOTSUPP;
        else if (!address.IsEmpty)
            result = socket.FindTarget(thread, address, out target);
        if (result == 0)
            result = socket.IsStream
                ? SendBytes(thread, socket, ref source, flags, credentials, ref files)
                : SendPacket(thread, socket, target, ref source, flags, credentials, ref files);
        target?.Release();
        files?.Release();
        if (result == -EPIPE && socket.IsStream && (flags & MSG_NOSIGNAL) == 0)
            Transfers.RaiseBrokenPipe(thread);
        return result;
    }

    private static long SendBytes(
        GuestThread thread, Socket socket, ref GuestBuffers source, int flags, in ucred credentials,
        ref PassedFiles? files)
    {
        byte[] buffer = thread.TransferBuffer;
        long total = 0;
        while (source.Remaining > 0)
        {
            int wanted = (int)Math.Min(source.Remaining, (ulong)buffer.Length);
            int available = source.CopyIn(buffer.AsSpan(0, wanted));
            if (available == 0)
                return total > 0 ? total : -EFAULT;
            ReadOnlySpan<byte> piece = buffer.AsSpan(0, available);
            while (!piece.IsEmpty)
            {
                long sent = SendOnce(thread, socket, null, piece, flags, credentials, files);
                if (sent < 0)
                    return total > 0 ? total : sent;
                files = null;
                thread.StayHere();
                total += sent;
                piece = piece[(int)sent..];
            }
            if (available < wanted)
                break;
        }
        return total;
    }

    private static long SendPacket(
        GuestThread thread, Socket socket, ISendTarget? target, ref GuestBuffers source, int flags,
        in ucred credentials, ref PassedFiles? files)
    {
        if (source.Remaining > MaximumMessage)
            return -EMSGSIZE;
        int length = (int)source.Remaining;
        byte[]? rented = length > GuestThread.TransferSize ? ArrayPool<byte>.Shared.Rent(length) : null;
        Span<byte> message = (rented ?? thread.TransferBuffer).AsSpan(0, length);
        long result = source.CopyIn(message) < length
            ? -EFAULT
            : SendOnce(thread, socket, target, message, flags, credentials, files);
        if (result >= 0)
            files = null;
        if (rented is not null)
            ArrayPool<byte>.Shared.Return(rented);
        return result;
    }

    private static long SendOnce(
        GuestThread thread, Socket socket, ISendTarget? target, ReadOnlySpan<byte> data, int flags,
        in ucred credentials, PassedFiles? files)
    {
        long result = socket.Send(data, flags, credentials, target, files);
        if (result != -EAGAIN || (flags & MSG_DONTWAIT) != 0 || socket.IsNonBlocking)
            return result;
        long deadline = socket.WriteDeadline(HostClock.MonotonicNanoseconds());
        using Blocking wait = new(thread, target?.Queue ?? socket.Queue, PollEvents.Writable);
        while ((result = socket.Send(data, flags, credentials, target, files)) == -EAGAIN)
        {
            long slept = wait.Sleep(deadline, socket.Interrupted(deadline));
            if (slept != 0)
                return slept == -ETIMEDOUT ? -EAGAIN : slept;
        }
        return result;
    }

    private static long RecvFrom(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        result = GuestBuffers.TryCreate(thread.Memory, a.A1, a.A2, out GuestBuffers destination);
        if (result == 0)
        {
            result = Receive(thread, socket, ref destination, a.Int3, out ReceivedMessage message);
            message.Files?.Release();
            if (result >= 0 && a.A4 != 0)
            {
                long written = WriteSender(thread, socket, message, a.A4, a.A5);
                if (written != 0)
                    result = written;
            }
        }
        socket.Release();
        return result;
    }

    private static long WriteSender(
        GuestThread thread, Socket socket, in ReceivedMessage message, ulong address, ulong length)
    {
        Span<byte> sender = stackalloc byte[Ipc.Socket.MaximumAddress];
        int known = socket.FormatSender(message, sender);
        // Streams, and senders without a name, leave the address alone and report a length of zero.
        return known > 0
            ? WriteAddress(thread, sender[..known], address, length)
            : thread.Memory.TryWrite(new VirtualAddress(length), 0) ? 0 : -EFAULT;
    }

    private static long RecvMsg(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        result = ReceiveMessage(thread, socket, a.A1, a.Int2);
        socket.Release();
        return result;
    }

    private static long ReceiveMessage(GuestThread thread, Socket socket, ulong pointer, int flags)
    {
        long result = ReadHeader(thread, pointer, out GuestMessage header, out GuestBuffers buffers);
        if (result != 0)
            return result;
        result = Receive(thread, socket, ref buffers, flags, out ReceivedMessage message);
        if (result < 0)
            return result;

        int outFlags = message.IsTruncated ? MSG_TRUNC : 0;
        ulong controlUsed = AncillaryData.Write(
            thread, header.Control, header.ControlLength, flags, socket is UnixSocket { PassCredentials: true }, ref message, ref outFlags);
        if (header.Name != 0)
        {
            long written = WriteSender(
                thread, socket, message, header.Name, pointer + GuestMessage.NameLengthOffset);
            if (written != 0)
                return written;
        }
        bool ok = thread.Memory.TryWrite(new VirtualAddress(pointer + GuestMessage.ControlLengthOffset), controlUsed)
            && thread.Memory.TryWrite(
                new VirtualAddress(pointer + GuestMessage.FlagsOffset), outFlags | (flags & MSG_CMSG_CLOEXEC));
        return ok ? result : -EFAULT;
    }

    /// <summary>Receives into guest memory; what came along is the caller's to deliver or release.</summary>
    private static long Receive(
        GuestThread thread, Socket socket, ref GuestBuffers destination, int flags, out ReceivedMessage message)
    {
        message = default;
        if ((flags & MSG_OOB) != 0)
            return -EOPNOTSUPP;
        if ((flags & MSG_ERRQUEUE) != 0)
            return -EAGAIN;
        long result;
        if (socket.IsStream)
        {
            result = ReceiveBytes(thread, socket, ref destination, flags, ref message);
        }
        else
        {
            int wanted = (int)Math.Min(destination.Remaining, MaximumMessage);
            byte[]? rented = wanted > GuestThread.TransferSize ? ArrayPool<byte>.Shared.Rent(wanted) : null;
            Span<byte> buffer = (rented ?? thread.TransferBuffer).AsSpan(0, wanted);
            long deadline = 0;
            result = ReceiveOnce(
                thread, socket, ref destination, buffer, flags, nonBlocking: false, ref deadline, out message);
            if (rented is not null)
                ArrayPool<byte>.Shared.Return(rented);
            if (result >= 0 && message.IsTruncated && (flags & MSG_TRUNC) != 0)
                result = message.FullLength;
        }
        if (result < 0)
        {
            message.Files?.Release();
            message.Files = null;
        }
        return result;
    }

    private static long ReceiveBytes(
        GuestThread thread, Socket socket, ref GuestBuffers destination, int flags, ref ReceivedMessage message)
    {
        byte[] buffer = thread.TransferBuffer;
        bool waitAll = (flags & MSG_WAITALL) != 0 && (flags & MSG_PEEK) == 0;
        long total = 0, deadline = 0;
        do
        {
            int wanted = (int)Math.Min(destination.Remaining, (ulong)buffer.Length);
            long count = ReceiveOnce(
                thread, socket, ref destination, buffer.AsSpan(0, wanted), flags,
                nonBlocking: total > 0 && !waitAll, ref deadline, out ReceivedMessage part);
            if (count <= 0)
                return total > 0 ? total : count;
            message = part;
            thread.StayHere();
            total += count;
            if (message.Files is not null || (flags & MSG_PEEK) != 0 || (count < wanted && !waitAll))
                break;
        }
        while (destination.Remaining > 0);
        return total;
    }

    /// <param name="deadline">When the call's timeout ends: 0 until it first waits, and one for all its pieces.</param>
    private static long ReceiveOnce(
        GuestThread thread, Socket socket, ref GuestBuffers destination, Span<byte> buffer, int flags,
        bool nonBlocking, ref long deadline, out ReceivedMessage message)
    {
        message = default;
        // Data must not leave the queue for an address that cannot take it.
        int room = destination.Accessible(buffer.Length, write: true);
        if (room < buffer.Length && (room == 0 || !socket.IsStream))
            return -EFAULT;
        buffer = buffer[..room];
        long result = socket.Receive(buffer, flags, out message);
        if (result == -EAGAIN && !nonBlocking && (flags & MSG_DONTWAIT) == 0 && !socket.IsNonBlocking)
        {
            if (deadline == 0)
                deadline = socket.ReadDeadline(HostClock.MonotonicNanoseconds());
            using Blocking wait = new(thread, socket.Queue, PollEvents.Readable);
            while ((result = socket.Receive(buffer, flags, out message)) == -EAGAIN)
            {
                long slept = wait.Sleep(deadline, socket.Interrupted(deadline));
                if (slept != 0)
                    return slept == -ETIMEDOUT ? -EAGAIN : slept;
            }
        }
        if (result > 0 && !destination.CopyOut(buffer[..(int)result]))
        {
            message.Files?.Release();
            message.Files = null;
            return -EFAULT;
        }
        return result;
    }

    private static long SendMMsg(GuestThread thread, in SystemCallArguments a)
    {
        long result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        uint count = Math.Min((uint)a.A2, UIO_MAXIOV);
        uint sent = 0;
        while (sent < count)
        {
            ulong element = a.A1 + sent * MultipleMessageSize;
            result = SendMessage(thread, socket, element, a.Int3);
            if (result < 0)
                break;
            if (!thread.Memory.TryWrite(new VirtualAddress(element + GuestMessage.Size), (uint)result))
            {
                result = -EFAULT;
                break;
            }
            sent++;
            if (thread.HasPendingSignal)
                break;
        }
        socket.Release();
        return sent > 0 ? sent : result;
    }

    /// <summary>sizeof(struct mmsghdr).</summary>
    private const ulong MultipleMessageSize = 64;

    private static long RecvMMsg(GuestThread thread, in SystemCallArguments a)
    {
        long result = Timeouts.TryReadTimespec(thread.Memory, a.A4, out long deadline);
        if (result != 0)
            return result;
        result = Acquire(thread, a.Int0, out Socket socket);
        if (result != 0)
            return result;
        uint count = Math.Min((uint)a.A2, UIO_MAXIOV);
        uint received = 0;
        int flags = a.Int3;
        while (received < count)
        {
            ulong element = a.A1 + received * MultipleMessageSize;
            result = ReceiveMessage(thread, socket, element, flags & ~MSG_WAITFORONE);
            if (result < 0)
                break;
            if (!thread.Memory.TryWrite(new VirtualAddress(element + GuestMessage.Size), (uint)result))
            {
                result = -EFAULT;
                break;
            }
            received++;
            if ((flags & MSG_WAITFORONE) != 0)
                flags |= MSG_DONTWAIT;
            // As on Linux, looked at only between messages.
            if (deadline != Parker.Forever && HostClock.MonotonicNanoseconds() >= deadline)
                break;
        }
        socket.Release();
        Timeouts.WriteBackTimespec(thread.Memory, a.A4, deadline);
        return received > 0 ? received : result;
    }
}
