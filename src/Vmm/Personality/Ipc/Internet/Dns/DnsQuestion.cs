using System.Buffers.Binary;
using Sandbox.Policy.Contract;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>The one question of a DNS query (RFC 1035, section 4), read out of bytes that a guest wrote.</summary>
public readonly struct DnsQuestion
{
    public const int HeaderSize = 12;

    /// <summary>Longer queries are refused: a name, a type, and room for what EDNS adds.</summary>
    public const int MaximumQuery = 512;

    public const ushort TypeA = 1, TypeAaaa = 28, ClassInternet = 1;

    private const int MaximumLabel = 63;

    public ushort Id { get; private init; }

    /// <summary>RD: copied into the answer.</summary>
    public bool WantsRecursion { get; private init; }

    public ushort Type { get; private init; }

    public ushort Class { get; private init; }

    /// <summary>In lower case, without a dot at its end. Empty for the root.</summary>
    public string Name { get; private init; }

    /// <summary>Bytes of the question, from the end of the header on: the answer repeats them.</summary>
    public int Length { get; private init; }

    /// <summary>Reads a query.</summary>
    /// <param name="code">What to answer when it is none: 1 (FORMERR), 4 (NOTIMP); nothing at all for negative.</param>
    public static bool TryParse(ReadOnlySpan<byte> query, out DnsQuestion question, out int code)
    {
        question = default;
        code = -1;
        const int answerBit = 0x8000, recursionBit = 0x0100;
        if (query.Length < HeaderSize)
            return false;
        ushort id = BinaryPrimitives.ReadUInt16BigEndian(query);
        int flags = BinaryPrimitives.ReadUInt16BigEndian(query[2..]);
        // An answer is never answered: two name servers would go on for ever.
        if ((flags & answerBit) != 0)
            return false;
        question = new DnsQuestion { Id = id, WantsRecursion = (flags & recursionBit) != 0, Name = "" };
        if ((flags >> 11 & 15) != 0)
        {
            code = DnsAnswer.NotImplemented;
            return false;
        }
        code = DnsAnswer.FormatError;
        if (query.Length > MaximumQuery || BinaryPrimitives.ReadUInt16BigEndian(query[4..]) != 1)
            return false;
        ReadOnlySpan<byte> rest = query[HeaderSize..];
        if (!TryReadName(rest, out string name, out int length) || rest.Length < length + 4)
            return false;
        question = question with
        {
            Name = name,
            Type = BinaryPrimitives.ReadUInt16BigEndian(rest[length..]),
            Class = BinaryPrimitives.ReadUInt16BigEndian(rest[(length + 2)..]),
            Length = length + 4,
        };
        return true;
    }

    /// <summary>Labels up to the root. A name in a question has nothing before it that it could point to.</summary>
    private static bool TryReadName(ReadOnlySpan<byte> bytes, out string name, out int length)
    {
        name = "";
        length = 0;
        Span<char> text = stackalloc char[NetworkChannel.MaximumName + 1];
        int used = 0;
        while (length < bytes.Length)
        {
            int label = bytes[length++];
            if (label == 0)
            {
                name = new string(text[..used]);
                return true;
            }
            bool fits = used + label + (used > 0 ? 1 : 0) <= NetworkChannel.MaximumName;
            if (label > MaximumLabel || label > bytes.Length - length || !fits)
                return false;
            if (used > 0)
                text[used++] = '.';
            foreach (byte character in bytes.Slice(length, label))
            {
                // A dot inside of a label would make another name of it.
                if (character is (byte)'.' or < 0x21 or > 0x7e)
                    return false;
                text[used++] = char.ToLowerInvariant((char)character);
            }
            length += label;
        }
        return false;
    }

    /// <summary>Whether the name consists of what host names consist of: only such are asked for.</summary>
    public bool IsHostName
    {
        get
        {
            if (Name.Length == 0)
                return false;
            ReadOnlySpan<char> name = Name;
            Range last = default;
            foreach (Range range in name.Split('.'))
            {
                if (name[range][0] == '-' || !ContainsOnlyNameCharacters(name[range]))
                    return false;
                last = range;
            }
            // What ends in a number is an address to the host's resolver.
            return name[last].IndexOfAnyExceptInRange('0', '9') >= 0 && !name[last].StartsWith("0x");
        }
    }

    private static bool ContainsOnlyNameCharacters(ReadOnlySpan<char> label)
    {
        foreach (char character in label)
            if (!char.IsAsciiLetterLower(character) && !char.IsAsciiDigit(character) && character is not ('-' or '_'))
                return false;
        return true;
    }
}
