using System.Buffers.Binary;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>Writes DNS answers (RFC 1035): a header, the question again, and addresses.</summary>
static class DnsAnswer
{
    public const int NoError = 0, FormatError = 1, ServerFailure = 2, NoSuchName = 3, NotImplemented = 4, Refused = 5;

    /// <summary>No answer is longer: 16 addresses of IPv6 behind the longest name.</summary>
    public const int MaximumSize = 1024;

    /// <summary>What fits into a datagram; beyond that the answer says that it is cut short (TC).</summary>
    public const int DatagramSize = 512;

    /// <summary>Seconds that an answer may be kept.</summary>
    private const uint TimeToLive = 60;

    /// <param name="query">The query; its question is repeated.</param>
    /// <param name="question">What was read out of it; the default when it could not be read.</param>
    /// <param name="addresses">Those of the question's type, 16 bytes each.</param>
    /// <param name="destination">At least <see cref="MaximumSize"/> bytes.</param>
    /// <param name="room">At least a header and the question; addresses that do not fit are left out.</param>
    /// <returns>The answer's length.</returns>
    public static int Write(
        ReadOnlySpan<byte> query, in DnsQuestion question, int code, ReadOnlySpan<byte> addresses,
        Span<byte> destination, int room)
    {
        const int answer = 0x8000, cut = 0x0200, recursion = 0x0100, recursionAvailable = 0x0080;
        Span<byte> header = destination[..DnsQuestion.HeaderSize];
        header.Clear();
        int length = DnsQuestion.HeaderSize;
        query.Slice(length, question.Length).CopyTo(destination[length..]);
        length += question.Length;

        bool four = question.Type == DnsQuestion.TypeA;
        int size = four ? 4 : 16;
        int count = 0;
        bool isCut = false;
        for (int at = 0; at < addresses.Length; at += 16)
        {
            // A pointer to the question's name, type, class, time and length.
            const int fixedSize = 12;
            if (length + fixedSize + size > room)
            {
                isCut = true;
                break;
            }
            Span<byte> record = destination[length..];
            BinaryPrimitives.WriteUInt16BigEndian(record, 0xc000 | DnsQuestion.HeaderSize);
            BinaryPrimitives.WriteUInt16BigEndian(record[2..], question.Type);
            BinaryPrimitives.WriteUInt16BigEndian(record[4..], DnsQuestion.ClassInternet);
            BinaryPrimitives.WriteUInt32BigEndian(record[6..], TimeToLive);
            BinaryPrimitives.WriteUInt16BigEndian(record[10..], (ushort)size);
            addresses.Slice(at + 16 - size, size).CopyTo(record[fixedSize..]);
            length += fixedSize + size;
            count++;
        }

        BinaryPrimitives.WriteUInt16BigEndian(header, question.Id);
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)(answer | (isCut ? cut : 0)
            | (question.WantsRecursion ? recursion : 0) | recursionAvailable | code));
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)(question.Length > 0 ? 1 : 0));
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)count);
        return length;
    }
}
