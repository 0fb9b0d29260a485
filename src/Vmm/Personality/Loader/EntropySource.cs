using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>Random bytes for address layouts and AT_RANDOM. Not thread-safe: one per load.</summary>
public abstract class EntropySource
{
    public abstract void Fill(Span<byte> destination);

    /// <summary>A number of that many random bits, 1 to 63.</summary>
    public ulong NextBits(int bits)
    {
        ulong value = 0;
        Fill(MemoryMarshal.AsBytes(new Span<ulong>(ref value)));
        return value & ((1UL << bits) - 1);
    }
}

/// <summary>No randomness at all: the layout of ADDR_NO_RANDOMIZE (personality(2)), which debuggers ask for.</summary>
public sealed class NoEntropy : EntropySource
{
    public override void Fill(Span<byte> destination) => destination.Clear();
}

/// <summary>The host kernel's generator.</summary>
public sealed unsafe class HostEntropy : EntropySource
{
    public override void Fill(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            nint count;
            fixed (byte* start = destination)
                count = getrandom(start, (nuint)destination.Length, 0);
            if (count > 0)
                destination = destination[(int)count..];
            else if (errno != EINTR)
                throw HostException.Last("getrandom", "address layout");
        }
    }
}

/// <summary>
/// A fixed sequence for tests and reproductions (splitmix64, Steele, Lea and Flood 2014). Not for running guests.
/// </summary>
public sealed class SeededEntropy(ulong seed) : EntropySource
{
    private ulong _state = seed;

    public override void Fill(Span<byte> destination)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        while (!destination.IsEmpty)
        {
            ulong z = _state += 0x9e37_79b9_7f4a_7c15;
            z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
            z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
            BinaryPrimitives.WriteUInt64LittleEndian(word, z ^ (z >> 31));
            int count = Math.Min(word.Length, destination.Length);
            word[..count].CopyTo(destination);
            destination = destination[count..];
        }
    }
}
