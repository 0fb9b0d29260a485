using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Machine;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// What a machine guest says over its agent's socket, byte by byte. However it is cut, the same bytes reach the caller;
/// nothing reaches him before the program has started or behind the guest's end, nor more than the limit.
/// </summary>
/// <remarks>Input: the length of pieces (1), the limit of output in units of 16 bytes (1); then the stream.</remarks>
sealed class AgentTarget : FuzzTarget
{
    private const int HeaderLength = 2;

    private readonly FileDescriptor _output = FileDescriptor.CreateMemory("output", 0);
    /// <summary>What is said to the guest is lost: it goes nowhere.</summary>
    private readonly FileDescriptor _socket = FileDescriptor.Open("/dev/null", Libc.O_RDWR);

    private readonly byte[] _first = new byte[64 << 10], _second = new byte[64 << 10];

    public override string Name => "agent";

    public override string Summary => "the messages of a machine guest's agent";

    public override int MaximumLength => 16 * 1024;

    // Two decoders, and buffers for frames.
    public override long AllocationLimit => 512 << 10;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [1, 0, 0, 0], [2, 0, 1, 0, 65], [3, 0, 1, 0, 66], [5, 0, 2, 0, 0, 7], [5, 0, 2, 0, 1, 9], [4, 0, 4, 0, 1, 0, 0, 0],
        [6, 0, 5, 0, 6, 2, 0, 0, 0], [2, 0, 0, 4], [2, 0, 1, 4],
    ];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        int piece = 1 + reader.Byte();
        long limit = 16 * reader.Byte();
        ReadOnlySpan<byte> stream = input[Math.Min(HeaderLength, input.Length)..];
        AgentEnd? end = Play(stream, piece, limit, _first, out int count);
        AgentEnd? again = Play(stream, Math.Max(stream.Length, 1), limit, _second, out int sameCount);
        OracleException.Check(end == again && _first.AsSpan(0, count).SequenceEqual(_second.AsSpan(0, sameCount)),
            "the same stream, cut otherwise, means something else");
        OracleException.Check(limit == 0 || count <= limit, "more than the limit was written");
        bool started = stream is [(byte)AgentFrameKind.Started, 0, 0, 0, ..];
        OracleException.Check(started || count == 0, "output of a program that has not started");
        return end is not { Detail: (long)VmmFailure.AgentMisbehaved };
    }

    private AgentEnd? Play(ReadOnlySpan<byte> stream, int piece, long limit, Span<byte> written, out int count)
    {
        _ = Libc.ftruncate(_output.Value, 0);
        _output.Seek(0, Libc.SEEK_SET);
        AgentEnd? end = null;
        AgentStreams streams = new(_socket, null, _output, _output, limit, given =>
        {
            OracleException.Check(end is null, "two ends");
            end = given;
        });
        AgentDecoder decoder = new();
        for (bool isStream = true; !stream.IsEmpty && isStream && end is null;)
        {
            ReadOnlySpan<byte> bytes = stream[..Math.Min(piece, stream.Length)];
            stream = stream[bytes.Length..];
            while (!bytes.IsEmpty && isStream && end is null)
            {
                isStream = decoder.TryTake(ref bytes, out bool isWhole);
                if (isStream && isWhole)
                    streams.Hear(decoder.Kind, decoder.Payload);
            }
        }
        count = (int)_output.ReadAt(written, 0);
        OracleException.Check(count == streams.OutputBytes, "another number of bytes is written than counted");
        return end;
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("exit", [0, 0, 1, 0, 0, 0, 2, 0, 3, 0, 65, 66, 67, 3, 0, 1, 0, 68, 5, 0, 2, 0, 0, 3]);
        yield return ("signal", [6, 0, 1, 0, 0, 0, 5, 0, 2, 0, 1, 9]);
        yield return ("limit", [2, 1, 1, 0, 0, 0, 2, 0, 20, 0, .. new byte[20]]);
        yield return ("failed", [0, 0, 6, 0, 5, 0, 6, 2, 0, 0, 0]);
    }
}
