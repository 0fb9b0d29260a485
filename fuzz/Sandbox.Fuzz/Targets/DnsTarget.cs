using System.Buffers.Binary;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The guest's name server: what it reads out of a query, and that whatever it answers is a DNS message, read by
/// another reader, which repeats the question and holds addresses of the type that was asked for.
/// </summary>
/// <remarks>Input: how the lookup ends (1), how many addresses it has (1), which are of IPv4 (2, as bits); then the query.</remarks>
sealed class DnsTarget : FuzzTarget
{
    private const int HeaderLength = 4;

    private readonly byte[] _answer = new byte[DnsAnswer.MaximumSize];
    private readonly byte[] _addresses = new byte[NetworkChannel.MaximumAddresses * 16];

    public override string Name => "dns";

    public override string Summary => "queries to the guest's name server, and its answers";

    public override int MaximumLength => 1024;

    public override long AllocationLimit => 64 << 10;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [0, 1, 0, 1], [0, 28, 0, 1], [0, 0, 41, 16, 0], [0xc0, 12], [0xc0, 0xff], [63], [64], [0], [1, (byte)'a'],
        [7, .. "example"u8, 3, .. "org"u8, 0], [0x81, 0x80], [1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    ];

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        byte[] query = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, .. "www"u8, 7, .. "example"u8, 3, .. "org"u8, 0];
        yield return ("a", [0, 2, 3, 0, .. query, 0, 1, 0, 1]);
        yield return ("aaaa-cut", [0, 16, 0, 0, .. query, 0, 28, 0, 1]);
        yield return ("refused", [1, 0, 0, 0, .. query, 0, 15, 0, 1]);
        yield return ("edns", [0, 1, 1, 0, .. query, 0, 1, 0, 1, 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        int error = (reader.Byte() % 4) switch { 0 => 0, 1 => EACCES, 2 => ENOENT, _ => EAGAIN };
        int count = error == 0 ? reader.Byte() % (NetworkChannel.MaximumAddresses + 1) : 0;
        int four = reader.Word();
        ReadOnlySpan<byte> query = input[Math.Min(HeaderLength, input.Length)..];
        Span<byte> addresses = _addresses.AsSpan(0, 16 * count);
        for (int i = 0; i < count; i++)
            BinaryPrimitives.WriteUInt128BigEndian(
                addresses[(16 * i)..], ((four >> i & 1) != 0 ? (UInt128)0xffff << 32 : UInt128.One << 120) + (uint)i);

        DnsLookup? lookup = DnsLookup.Begin(query, _answer, out int length);
        OracleException.Check(lookup is null || length == 0, "an answer before the question was asked");
        if (lookup is null)
        {
            if (length > 0)
                CheckAnswer(query, _answer.AsSpan(0, length), 0, 0);
            return false;
        }
        CheckRequest(lookup.Request());
        foreach (int room in (ReadOnlySpan<int>)[DnsAnswer.DatagramSize, DnsAnswer.MaximumSize])
        {
            length = lookup.Finish(error, addresses, _answer, room);
            OracleException.Check(length <= room, "an answer that does not fit");
            CheckAnswer(query, _answer.AsSpan(0, length), count, four);
        }
        return true;
    }

    /// <summary>What the supervisor is asked is a name that it takes: otherwise a guest could have its VMM ended.</summary>
    private static void CheckRequest(in NetworkRequest request)
    {
        NetworkRequest numbered = request with { Version = NetworkChannel.Version };
        OracleException.Check(
            Supervisor.Network.NetworkQuestion.Read(numbered, out string problem) is not null,
            $"the supervisor would end the VMM: {problem}");
    }

    private static void CheckAnswer(ReadOnlySpan<byte> query, ReadOnlySpan<byte> answer, int count, int four)
    {
        OracleException.Check(answer.Length >= 12 && answer[..2].SequenceEqual(query[..2]), "another number");
        OracleException.Check((answer[2] & 0x80) != 0 && (query[2] & 0x80) == 0, "an answer to an answer, or none");
        int questions = Word(answer, 4), answers = Word(answer, 6);
        OracleException.Check(questions <= 1 && Word(answer, 8) == 0 && Word(answer, 10) == 0, "sections that it has not");
        int at = 12;
        int type = 0;
        if (questions == 1)
        {
            while (answer[at] != 0)
                at += 1 + answer[at];
            type = Word(answer, at + 1);
            at += 5;
            OracleException.Check(answer[12..at].SequenceEqual(query[12..at]), "another question");
        }
        OracleException.Check(answers == 0 || (answer[3] & 15) == 0, "addresses with a failure");
        for (int i = 0; i < answers; i++)
        {
            int size = Word(answer, at + 10);
            OracleException.Check(Word(answer, at) == 0xc00c && Word(answer, at + 2) == type, "another record");
            OracleException.Check(type == 1 ? size == 4 : type == 28 && size == 16, "an address of another length");
            at += 12 + size;
        }
        OracleException.Check(at == answer.Length, "bytes behind the answer");
        bool isCut = (answer[2] & 2) != 0;
        int wanted = 0;
        for (int i = 0; i < count; i++)
            wanted += (type == 1 && (four >> i & 1) != 0) || (type == 28 && (four >> i & 1) == 0) ? 1 : 0;
        bool failed = (answer[3] & 15) != 0;
        OracleException.Check(failed || (isCut ? answers < wanted : answers == wanted), "addresses too many or too few");
    }

    private static int Word(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16BigEndian(bytes[at..]);
}
