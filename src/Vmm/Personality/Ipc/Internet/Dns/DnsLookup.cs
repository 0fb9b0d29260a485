using System.Buffers.Binary;
using System.Text;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>A query on its way: what was asked, and what the supervisor says to it.</summary>
sealed class DnsLookup
{
    private readonly byte[] _query;
    private readonly DnsQuestion _question;

    private DnsLookup(byte[] query, in DnsQuestion question)
    {
        _query = query;
        _question = question;
    }

    /// <summary>Looks at a query.</summary>
    /// <param name="answer">At least <see cref="DnsAnswer.MaximumSize"/>; what can be said without asking anybody.</param>
    /// <param name="length">Its length; 0 when nothing is to be said, now or at all.</param>
    /// <returns>Null when nobody has to be asked.</returns>
    public static DnsLookup? Begin(ReadOnlySpan<byte> query, Span<byte> answer, out int length)
    {
        length = 0;
        if (!DnsQuestion.TryParse(query, out DnsQuestion question, out int code))
        {
            if (code >= 0)
                length = DnsAnswer.Write(query, question, code, default, answer, answer.Length);
            return null;
        }
        if (question.Class == DnsQuestion.ClassInternet && question.IsHostName)
            return new DnsLookup(query.ToArray(), question);
        length = DnsAnswer.Write(query, question, DnsAnswer.Refused, default, answer, answer.Length);
        return null;
    }

    public NetworkRequest Request()
    {
        NetworkRequest request = new()
        {
            Action = (uint)NetworkAction.Resolve,
            NameLength = (uint)_question.Name.Length,
        };
        Encoding.ASCII.GetBytes(_question.Name, request.Name);
        return request;
    }

    /// <summary>Writes the answer.</summary>
    /// <param name="error">0 or an errno: what the supervisor said.</param>
    /// <param name="found">16 bytes for each address.</param>
    /// <param name="destination">At least <see cref="DnsAnswer.MaximumSize"/>.</param>
    /// <returns>Its length.</returns>
    public int Finish(int error, ReadOnlySpan<byte> found, Span<byte> destination, int room)
    {
        int code = error switch
        {
            0 => DnsAnswer.NoError,
            EACCES => DnsAnswer.Refused,
            ENOENT => DnsAnswer.NoSuchName,
            _ => DnsAnswer.ServerFailure,
        };
        Span<byte> wanted = stackalloc byte[NetworkChannel.MaximumAddresses * 16];
        int used = 0;
        for (int at = 0; at < found.Length; at += 16)
        {
            ReadOnlySpan<byte> address = found.Slice(at, 16);
            bool four = BinaryPrimitives.ReadUInt128BigEndian(address) >> 32 == 0xffff;
            if (_question.Type != (four ? DnsQuestion.TypeA : DnsQuestion.TypeAaaa))
                continue;
            address.CopyTo(wanted[used..]);
            used += 16;
        }
        return DnsAnswer.Write(_query, _question, code, wanted[..used], destination, room);
    }
}
