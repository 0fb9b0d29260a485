using System.Runtime.CompilerServices;
using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>
/// One end of an AF_UNIX SOCK_SEQPACKET socket that carries structures of one fixed size, with descriptors
/// (SCM_RIGHTS) where asked for. The peer is not trusted: a message of another size, more descriptors than allowed or
/// another kind of ancillary data is an error, and no descriptor that came with it stays open.
/// </summary>
public sealed unsafe class SeqpacketChannel : IDisposable
{
    /// <summary>The most descriptors that one message can carry: SCM_MAX_FD of the kernel, unix(7).</summary>
    public const int MaxDescriptors = 253;

    private readonly FileDescriptor _socket;

    /// <summary>Takes ownership of a connected socket.</summary>
    public SeqpacketChannel(FileDescriptor socket) => _socket = socket;

    /// <summary>The socket, for poll(2).</summary>
    public FileDescriptor Socket => _socket;

    /// <summary>Two connected sockets, closed on exec.</summary>
    /// <exception cref="HostException">socketpair failed.</exception>
    public static (FileDescriptor First, FileDescriptor Second) CreatePair() =>
        FileDescriptor.CreatePair(SOCK_SEQPACKET);

    /// <summary>Sends one structure; waits while the peer's queue is full. Never raises SIGPIPE.</summary>
    /// <exception cref="HostException">The host refused; EPIPE when the peer has gone.</exception>
    public void Send<T>(in T message, params ReadOnlySpan<FileDescriptor> descriptors)
        where T : unmanaged
    {
        if (!Send(message, wait: true, descriptors))
            throw new InvalidOperationException("a send that waits has not waited");
    }

    /// <summary>Sends one structure if the peer's queue has room for it.</summary>
    /// <returns>False when there is none: the peer does not read what it is sent.</returns>
    /// <exception cref="HostException">The host refused; EPIPE when the peer has gone.</exception>
    public bool SendUnlessFull<T>(in T message, params ReadOnlySpan<FileDescriptor> descriptors)
        where T : unmanaged => Send(message, wait: false, descriptors);

    private bool Send<T>(in T message, bool wait, ReadOnlySpan<FileDescriptor> descriptors)
        where T : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptors, nameof(descriptors));
        if (descriptors.IsEmpty)
            return TrySend(message, wait) switch
            {
                0 => true,
                -EAGAIN => false,
                int error => throw new HostException(-error, "send", "channel"),
            };
        var controlLength = CMSG_SPACE((nuint)(descriptors.Length * sizeof(int)));
        // Eight bytes each: ancillary data is aligned like a size_t.
        var control = stackalloc ulong[(int)(controlLength / sizeof(ulong))];
        var header = (cmsghdr*)control;
        header->cmsg_len = CMSG_LEN((nuint)(descriptors.Length * sizeof(int)));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        var numbers = (int*)(header + 1);
        for (var i = 0; i < descriptors.Length; i++)
            numbers[i] = descriptors[i].Value;
        fixed (T* data = &message)
        {
            using var hold = new FileDescriptor.Hold(_socket);
            var part = new iovec { iov_base = data, iov_len = (nuint)sizeof(T) };
            var envelope = new msghdr
            {
                msg_iov = &part,
                msg_iovlen = 1,
                msg_control = control,
                msg_controllen = controlLength,
            };
            nint sent;
            do
                sent = sendmsg(hold.Number, &envelope, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
            while (sent < 0 && errno == EINTR);
            if (sent < 0 && errno == EAGAIN)
                return false;
            if (sent < 0)
                throw HostException.Last("sendmsg", "channel");
            if (sent != sizeof(T))
                throw new HostException(EMSGSIZE, "sendmsg", "channel");
        }
        // The numbers above are the callers' until the kernel has taken its own references.
        foreach (var descriptor in descriptors)
            GC.KeepAlive(descriptor);
        return true;
    }

    /// <summary>Sends one structure without descriptors. Never throws, allocates or raises SIGPIPE.</summary>
    /// <param name="wait">Wait while the peer's queue is full; else the answer is -EAGAIN then.</param>
    /// <returns>0 or a negative error number; -EPIPE when the peer has gone.</returns>
    public int TrySend<T>(in T message, bool wait)
        where T : unmanaged
    {
        fixed (T* data = &message)
        {
            using var hold = new FileDescriptor.Hold(_socket);
            nint sent;
            do
                sent = send(hold.Number, data, (nuint)sizeof(T), wait ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT);
            while (sent < 0 && errno == EINTR);
            if (sent < 0)
                return -errno;
            return sent == sizeof(T) ? 0 : -EMSGSIZE;
        }
    }

    /// <summary>Waits for one structure that carries no descriptors.</summary>
    /// <returns>False when the peer has closed its end.</returns>
    /// <exception cref="HostException">recvmsg failed, or the message breaks the rules (EBADMSG).</exception>
    public bool Receive<T>(out T message)
        where T : unmanaged => Receive(out message, 0, out _);

    /// <summary>Waits for one structure with at most so many descriptors, all closed on exec.</summary>
    /// <param name="maxDescriptors">0..<see cref="MaxDescriptors"/>.</param>
    /// <param name="descriptors">What came along, in order, owned by the caller.</param>
    /// <returns>False when the peer has closed its end; an empty message counts as that.</returns>
    /// <exception cref="HostException">recvmsg failed, or the message breaks the rules (EBADMSG).</exception>
    public bool Receive<T>(out T message, int maxDescriptors, out FileDescriptor[] descriptors)
        where T : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxDescriptors);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxDescriptors, MaxDescriptors);

        // Allocated first, so that nothing can fail between the kernel's opening a descriptor and its having an owner.
        var received = new FileDescriptor[maxDescriptors];
        for (var i = 0; i < received.Length; i++)
            received[i] = new FileDescriptor();

        var count = 0;
        string? fault;
        nint length;
        Unsafe.SkipInit(out message);
        fixed (T* data = &message)
        {
            using var hold = new FileDescriptor.Hold(_socket);
            var part = new iovec { iov_base = data, iov_len = (nuint)sizeof(T) };
            // The unpadded length: the kernel fills padding with one descriptor more.
            var room = maxDescriptors == 0 ? 0 : CMSG_LEN((nuint)(maxDescriptors * sizeof(int)));
            var control = stackalloc ulong[(int)(CMSG_ALIGN(room) / sizeof(ulong))];
            msghdr envelope;
            do
            {
                envelope = new msghdr
                {
                    msg_iov = &part,
                    msg_iovlen = 1,
                    msg_control = control,
                    msg_controllen = room,
                };
                length = recvmsg(hold.Number, &envelope, MSG_CMSG_CLOEXEC);
            }
            while (length < 0 && errno == EINTR);
            if (length < 0)
                throw HostException.Last("recvmsg", "channel");
            fault = Adopt(envelope, received, ref count);
            if ((envelope.msg_flags & MSG_CTRUNC) != 0)
                fault = $"more than {maxDescriptors} descriptors";
            else if ((envelope.msg_flags & MSG_TRUNC) != 0)
                fault = $"message larger than {sizeof(T)} bytes";
            else if (length != sizeof(T) && !(length == 0 && count == 0))
                fault ??= $"message of {length} bytes instead of {sizeof(T)}";
        }
        if (fault is not null)
        {
            message = default;
            for (var i = 0; i < count; i++)
                received[i].Dispose();
            throw new HostException(EBADMSG, "recvmsg", "channel", fault);
        }
        descriptors = received[..count];
        if (length == 0)
            message = default;
        return length != 0;
    }

    public void Dispose() => _socket.Dispose();

    // Every descriptor in the message gets its owner; the answer says what was wrong with the message, or nothing.
    private static string? Adopt(in msghdr envelope, FileDescriptor[] received, ref int count)
    {
        string? fault = null;
        var head = (nuint)sizeof(cmsghdr);
        var at = (byte*)envelope.msg_control;
        var left = envelope.msg_controllen;
        while (left >= head)
        {
            var header = (cmsghdr*)at;
            if (header->cmsg_len < head || header->cmsg_len > left)
                return "malformed ancillary data";
            if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            {
                var numbers = (int*)(header + 1);
                var n = (int)((header->cmsg_len - head) / sizeof(int));
                for (var i = 0; i < n; i++)
                    received[count++].Adopt(numbers[i]);
            }
            else
            {
                fault = "unexpected ancillary data";
            }
            var step = CMSG_ALIGN(header->cmsg_len);
            if (step >= left)
                break;
            at += step;
            left -= step;
        }
        return fault;
    }
}
