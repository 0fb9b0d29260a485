using Sandbox.Vmm.Devices;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// Which device answers at which address: of memory that is not RAM, or of ports. An access that lies within no device
/// as a whole reads all ones, as on a PC, writes nothing, and is counted.
/// </summary>
public sealed class DeviceBus
{
    private readonly record struct Place(ulong Start, ulong Length, IBusDevice Device);

    private Place[] _places = [];
    private long _strayReads;
    private long _strayWrites;

    /// <summary>Reads that no device answered.</summary>
    public long StrayReads => Volatile.Read(ref _strayReads);

    /// <summary>Writes that no device took.</summary>
    public long StrayWrites => Volatile.Read(ref _strayWrites);

    /// <summary>What there is, by address.</summary>
    internal IEnumerable<(ulong Start, ulong Length)> Taken => _places.Select(place => (place.Start, place.Length));

    /// <summary>Before the first vCPU runs.</summary>
    /// <param name="length">Bytes, more than 0.</param>
    /// <exception cref="ArgumentException">It wraps, or another device is there.</exception>
    public void Add(ulong start, ulong length, IBusDevice device)
    {
        if (length == 0 || start + length < start)
            throw new ArgumentException($"no range: 0x{start:x}, {length} bytes", nameof(length));
        foreach (Place place in _places)
            if (start < place.Start + place.Length && place.Start < start + length)
                throw new ArgumentException($"taken: 0x{start:x}, {length} bytes", nameof(start));
        Place[] places = [.. _places, new Place(start, length, device)];
        Array.Sort(places, static (a, b) => a.Start.CompareTo(b.Start));
        _places = places;
    }

    /// <param name="data">1, 2, 4 or 8 bytes; all are written.</param>
    public void Read(ulong address, Span<byte> data)
    {
        if (Find(address, data.Length, out ulong offset) is IBusDevice device)
        {
            device.Read(offset, data);
            return;
        }
        data.Fill(0xff);
        Interlocked.Increment(ref _strayReads);
    }

    /// <param name="data">1, 2, 4 or 8 bytes.</param>
    public void Write(ulong address, ReadOnlySpan<byte> data)
    {
        if (Find(address, data.Length, out ulong offset) is IBusDevice device)
            device.Write(offset, data);
        else
            Interlocked.Increment(ref _strayWrites);
    }

    private IBusDevice? Find(ulong address, int length, out ulong offset)
    {
        Place[] places = _places;
        int low = 0, high = places.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            ref readonly Place place = ref places[middle];
            // Below the device this wraps to something huge.
            offset = address - place.Start;
            if (offset < place.Length)
                return (ulong)length <= place.Length - offset ? place.Device : null;
            if (address < place.Start)
                high = middle - 1;
            else
                low = middle + 1;
        }
        offset = 0;
        return null;
    }
}
