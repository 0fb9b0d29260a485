using Sandbox.Host;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// One request of a driver: pieces of RAM to read, then pieces to write. Filled by <see cref="SplitQueue.TryPop"/>,
/// used again for the next. Offsets count from the first byte of the part that is read, or of the part that is written.
/// </summary>
/// <param name="capacity">Pieces at most.</param>
public sealed unsafe class DescriptorChain(int capacity)
{
    private readonly iovec[] _pieces = new iovec[capacity];
    private int _readable;
    private int _count;

    /// <summary>Pieces at most: as many buffers does a host call need at most.</summary>
    public int Capacity => _pieces.Length;

    /// <summary>The chain's number in the ring.</summary>
    public ushort Head { get; private set; }

    /// <summary>Bytes to read.</summary>
    public uint ReadableBytes { get; private set; }

    /// <summary>Bytes to write.</summary>
    public uint WritableBytes { get; private set; }

    /// <summary>Copies from the part to read. False, and nothing is copied, when it is shorter.</summary>
    public bool TryRead(uint offset, Span<byte> destination) =>
        TryCopy(Readable, ReadableBytes, offset, destination, toGuest: false);

    /// <summary>Copies into the part to write. False, and nothing is written, when it is shorter.</summary>
    public bool TryWrite(uint offset, ReadOnlySpan<byte> source)
    {
        fixed (byte* p = source)
            return TryCopy(Writable, WritableBytes, offset, new Span<byte>(p, source.Length), toGuest: true);
    }

    /// <summary>A structure from the part to read.</summary>
    public bool TryRead<T>(uint offset, out T value)
        where T : unmanaged
    {
        T copy = default;
        bool read = TryRead(offset, new Span<byte>(&copy, sizeof(T)));
        value = copy;
        return read;
    }

    /// <summary>A structure into the part to write.</summary>
    public bool TryWrite<T>(uint offset, T value)
        where T : unmanaged =>
        TryWrite(offset, new ReadOnlySpan<byte>(&value, sizeof(T)));

    /// <summary>Bytes [offset, offset + length) of the part to read, as buffers of a host call.</summary>
    /// <param name="vector">Room for as many as a chain has pieces.</param>
    /// <returns>How many buffers; -1 when the part is shorter.</returns>
    internal int MapReadable(uint offset, uint length, Span<iovec> vector) =>
        Map(Readable, ReadableBytes, offset, length, vector);

    /// <summary>Bytes [offset, offset + length) of the part to write, as buffers of a host call.</summary>
    /// <param name="vector">Room for as many as a chain has pieces.</param>
    /// <returns>How many buffers; -1 when the part is shorter.</returns>
    internal int MapWritable(uint offset, uint length, Span<iovec> vector) =>
        Map(Writable, WritableBytes, offset, length, vector);

    internal void Begin(ushort head)
    {
        Head = head;
        _readable = 0;
        _count = 0;
        ReadableBytes = 0;
        WritableBytes = 0;
    }

    /// <summary>None, or why the driver may not have this piece here.</summary>
    internal QueueFault Append(byte* host, uint length, bool write)
    {
        if (_count == _pieces.Length)
            return QueueFault.TooLong;
        if ((ulong)ReadableBytes + WritableBytes + length > uint.MaxValue)
            return QueueFault.TooManyBytes;
        if (write)
        {
            WritableBytes += length;
        }
        else
        {
            if (_count != _readable)
                return QueueFault.Order;
            _readable++;
            ReadableBytes += length;
        }
        _pieces[_count++] = new iovec { iov_base = host, iov_len = length };
        return QueueFault.None;
    }

    private ReadOnlySpan<iovec> Readable => _pieces.AsSpan(0, _readable);

    private ReadOnlySpan<iovec> Writable => _pieces.AsSpan(_readable, _count - _readable);

    private static bool TryCopy(ReadOnlySpan<iovec> pieces, uint total, uint offset, Span<byte> bytes, bool toGuest)
    {
        if (offset > total || (uint)bytes.Length > total - offset)
            return false;
        foreach (ref readonly iovec piece in pieces)
        {
            if (bytes.IsEmpty)
                break;
            uint length = (uint)piece.iov_len;
            if (offset >= length)
            {
                offset -= length;
                continue;
            }
            int part = (int)Math.Min(length - offset, (uint)bytes.Length);
            Span<byte> guest = new((byte*)piece.iov_base + offset, part);
            if (toGuest)
                bytes[..part].CopyTo(guest);
            else
                guest.CopyTo(bytes);
            bytes = bytes[part..];
            offset = 0;
        }
        return true;
    }

    private static int Map(ReadOnlySpan<iovec> pieces, uint total, uint offset, uint length, Span<iovec> vector)
    {
        if (offset > total || length > total - offset)
            return -1;
        int count = 0;
        foreach (ref readonly iovec piece in pieces)
        {
            if (length == 0)
                break;
            uint has = (uint)piece.iov_len;
            if (offset >= has)
            {
                offset -= has;
                continue;
            }
            uint part = Math.Min(has - offset, length);
            vector[count++] = new iovec { iov_base = (byte*)piece.iov_base + offset, iov_len = part };
            length -= part;
            offset = 0;
        }
        return count;
    }
}
