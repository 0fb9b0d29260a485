using System.Buffers.Binary;
using System.Net;
using System.Numerics;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Addresses and ports, one for each region in which two tables decide alike, as far as there is time for it.
/// </summary>
sealed class AddressRegions
{
    /// <summary>Blocks that are looked at to decide about all regions: half a second of them.</summary>
    const long MaximumWork = 5_000_000;

    /// <summary>What a region costs beside, in blocks.</summary>
    const int RegionWork = 10;

    /// <summary>
    /// The first address behind ::ffff:0:0/96, whose addresses are IPv4 addresses and never asked about here.
    /// </summary>
    static readonly UInt128 s_behindMapped = UInt128.One << 48;

    readonly ulong[] _marked = new ulong[(ushort.MaxValue + 1) / 64];
    long _work;

    /// <summary>An address of each region in which all have the same blocks around them in both tables.</summary>
    public static IEnumerable<UInt128> Starts(AddressTable one, AddressTable other, bool six)
    {
        IEnumerable<UInt128> starts = one.Starts.Union(other.Starts);
        return six ? starts.Append(s_behindMapped).Where(start => start >> 32 != 0xffff).Distinct() : starts;
    }

    /// <summary>
    /// The first port of each range in which both tables decide alike about an address; the first is 0.
    /// </summary>
    /// <returns>Null when there have been too many.</returns>
    public ushort[]? PortsAt(AddressTable one, AddressTable other, UInt128 address)
    {
        Array.Clear(_marked);
        _marked[0] = 1;
        int depth = Mark(one, address) + (other == one ? 0 : Mark(other, address));
        var ports = new List<ushort>();
        for (int word = 0; word < _marked.Length; word++)
            for (ulong rest = _marked[word]; rest != 0; rest &= rest - 1)
                ports.Add((ushort)(64 * word + BitOperations.TrailingZeroCount(rest)));
        _work += (long)ports.Count * (RegionWork + depth);
        return _work <= MaximumWork ? [.. ports] : null;
    }

    /// <returns>How many blocks are around the address.</returns>
    int Mark(AddressTable table, UInt128 address)
    {
        int found = table.Starts.AsSpan().BinarySearch(address);
        int depth = 0;
        for (int block = table.Innermost[found >= 0 ? found : ~found - 1];
            block != AddressTable.NoBlock; block = table.Around[block])
        {
            depth++;
            if (table.Ports[block] is not PortTable ports)
                continue;
            _work += ports.Starts.Length;
            foreach (ushort start in ports.Starts)
                _marked[start / 64] |= 1UL << start;
        }

        return depth;
    }

    /// <summary>The last port of a range.</summary>
    /// <param name="starts">The first ports of all ranges.</param>
    public static ushort LastOf(ushort[] starts, int range) =>
        range + 1 < starts.Length ? (ushort)(starts[range + 1] - 1) : ushort.MaxValue;

    public static IPAddress Address(UInt128 number, bool six)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, number);
        return new IPAddress(six ? bytes : bytes[12..]);
    }
}
