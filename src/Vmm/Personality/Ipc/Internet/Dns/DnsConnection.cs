using System.Buffers.Binary;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>A connection to the name server: messages with their length before them (RFC 1035, section 4.2.2).</summary>
sealed class DnsConnection(InternetSocket socket)
{
    private const int PrefixSize = 2;

    private readonly byte[] _received = new byte[PrefixSize + DnsQuestion.MaximumQuery];
    private int _count;

    public bool IsClosed { get; private set; }

    /// <summary>Takes what has come.</summary>
    /// <param name="query">Room for the longest query.</param>
    /// <param name="length">Of a whole query, or 0.</param>
    /// <returns>False when nothing has happened.</returns>
    public bool TryRead(Span<byte> query, out int length)
    {
        length = 0;
        if (IsClosed || TryTake(query, out length))
            return true;
        long count = socket.Receive(_received.AsSpan(_count), 0, out _);
        if (count == -EAGAIN)
            return false;
        if (count <= 0)
        {
            Close();
            return true;
        }
        _count += (int)count;
        TryTake(query, out length);
        return true;
    }

    private bool TryTake(Span<byte> query, out int length)
    {
        length = 0;
        if (_count < PrefixSize)
            return false;
        int wanted = BinaryPrimitives.ReadUInt16BigEndian(_received);
        if (wanted is 0 or > DnsQuestion.MaximumQuery)
        {
            // Where the next message begins is not known any more.
            Close();
            return true;
        }
        if (_count < PrefixSize + wanted)
            return false;
        _received.AsSpan(PrefixSize, wanted).CopyTo(query);
        _count -= PrefixSize + wanted;
        _received.AsSpan(PrefixSize + wanted, _count).CopyTo(_received);
        length = wanted;
        return true;
    }

    /// <summary>Sends an answer; a client that leaves no room for it is not waited for.</summary>
    public void Write(ReadOnlySpan<byte> answer)
    {
        Span<byte> message = stackalloc byte[PrefixSize + DnsAnswer.MaximumSize];
        BinaryPrimitives.WriteUInt16BigEndian(message, (ushort)answer.Length);
        answer.CopyTo(message[PrefixSize..]);
        message = message[..(PrefixSize + answer.Length)];
        if (socket.Send(message, 0, default, null, null) != message.Length)
            Close();
    }

    private void Close()
    {
        if (IsClosed)
            return;
        IsClosed = true;
        socket.Release();
    }
}
