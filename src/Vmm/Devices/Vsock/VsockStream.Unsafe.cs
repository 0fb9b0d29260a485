using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Devices.Vsock;

/// <summary>
/// The host's end of a connection: a stream socket, and the bytes of the guest that it has not taken yet. How many
/// these may be is what the guest is told (its credit), so that nothing grows.
/// </summary>
/// <param name="file">Set to answer EAGAIN instead of waiting.</param>
sealed unsafe class VsockStream(FileDescriptor file, ByteRing waiting) : IDisposable
{
    /// <summary>Bytes of the guest that wait for the host, at most: the credit of each connection.</summary>
    public const int Room = 64 << 10;

    private const int PieceBytes = 8 << 10;

    public FileDescriptor File => file;

    /// <summary>Bytes of the guest that wait.</summary>
    public int Waiting => waiting.Count;

    /// <summary>Takes bytes of a chain that fit into the room.</summary>
    /// <returns>How many the host took at once, or a negative error number: nobody will ever read them.</returns>
    public int Write(DescriptorChain chain, uint offset, int length, Span<iovec> buffers)
    {
        int taken = 0;
        if (waiting.Count == 0)
        {
            int count = chain.MapReadable(offset, (uint)length, buffers);
            // Not by sendmsg, which could send descriptors too. The runtime ignores SIGPIPE.
            fixed (iovec* vector = buffers)
                taken = Answer(writev(file.Value, vector, count));
            if (taken < 0)
                return taken;
        }
        Span<byte> piece = stackalloc byte[PieceBytes];
        for (int at = taken; at < length;)
        {
            Span<byte> part = piece[..Math.Min(PieceBytes, length - at)];
            chain.TryRead(offset + (uint)at, part);
            at += waiting.Write(part);
        }
        return taken;
    }

    /// <summary>Passes on what waits.</summary>
    /// <returns>How many bytes the host took, or a negative error number.</returns>
    public int Flush()
    {
        Span<byte> piece = stackalloc byte[PieceBytes];
        int all = 0;
        while (waiting.Count > 0)
        {
            int length = waiting.Peek(piece, 0);
            int taken = Send(piece[..length]);
            if (taken < 0)
                return taken;
            waiting.Discard(taken);
            all += taken;
            if (taken < length)
                break;
        }
        return all;
    }

    /// <summary>Bytes that the host took of these: 0 when it takes none now.</summary>
    public int Send(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* data = bytes)
            return Answer(send(file.Value, data, (nuint)bytes.Length, MSG_DONTWAIT | MSG_NOSIGNAL));
    }

    /// <summary>Reads into the part of a chain that is written.</summary>
    /// <returns>Bytes, 0 at the end, -EAGAIN when there is nothing yet, or another negative error number.</returns>
    public int Read(DescriptorChain chain, uint offset, uint length, Span<iovec> buffers)
    {
        int count = chain.MapWritable(offset, length, buffers);
        fixed (iovec* vector = buffers)
        {
            msghdr message = new() { msg_iov = vector, msg_iovlen = (nuint)count };
            nint read;
            do
                read = recvmsg(file.Value, &message, MSG_DONTWAIT);
            while (read < 0 && errno == EINTR);
            return read < 0 ? -errno : (int)read;
        }
    }

    /// <summary>What there is to read, without taking it.</summary>
    public int Peek(Span<byte> bytes) => Receive(bytes, MSG_PEEK);

    public int Take(Span<byte> bytes) => Receive(bytes, 0);

    /// <summary>Nothing more comes from the guest.</summary>
    public void EndWriting() => shutdown(file.Value, SHUT_WR);

    public void Dispose()
    {
        waiting.Free();
        file.Dispose();
    }

    private int Receive(Span<byte> bytes, int flags)
    {
        fixed (byte* data = bytes)
        {
            nint read;
            do
                read = recv(file.Value, data, (nuint)bytes.Length, MSG_DONTWAIT | flags);
            while (read < 0 && errno == EINTR);
            return read < 0 ? -errno : (int)read;
        }
    }

    // A signal does not end what would not wait: EINTR means the same as EAGAIN.
    private static int Answer(nint result)
    {
        if (result >= 0)
            return (int)result;
        return errno is EAGAIN or EINTR ? 0 : -errno;
    }
}
