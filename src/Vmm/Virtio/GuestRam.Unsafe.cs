using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Virtio;

/// <summary>
/// The one way of devices to the guest's RAM. A range that a guest names is usable when it lies in one region as a
/// whole; what is no RAM (holes, device registers, addresses that wrap) is refused. Guest code may change every byte at
/// any time: copy once, then check, then use.
/// </summary>
public sealed unsafe class GuestRam
{
    private readonly RamRegion[] _regions;

    /// <param name="regions">In any order; they must not overlap.</param>
    /// <exception cref="ArgumentException">A region is empty, unaligned, wraps, or overlaps another.</exception>
    public GuestRam(params ReadOnlySpan<RamRegion> regions)
    {
        _regions = regions.ToArray();
        Array.Sort(_regions, (a, b) => a.Start.Value.CompareTo(b.Start.Value));
        ulong end = 0;
        foreach (RamRegion region in _regions)
        {
            ulong start = region.Start.Value;
            if (region.Length == 0 || !Page.IsAligned(start | region.Length | (ulong)region.Host))
                throw new ArgumentException($"not whole pages: {region.Start}, {region.Length} bytes", nameof(regions));
            if (start < end || start + region.Length < start)
                throw new ArgumentException($"overlaps or wraps: {region.Start}", nameof(regions));
            end = start + region.Length;
            TotalBytes += region.Length;
        }
    }

    /// <summary>Bytes of all regions.</summary>
    public ulong TotalBytes { get; }

    /// <summary>Whether the whole range is RAM, in one region. A range of no bytes is none.</summary>
    public bool Contains(ulong address, ulong length) => Find(address, length) != null;

    /// <summary>Copies out of RAM. False, and nothing is copied, when the range is not RAM as a whole.</summary>
    public bool TryRead(ulong address, Span<byte> destination)
    {
        byte* source = Find(address, (ulong)destination.Length);
        if (source == null)
            return destination.IsEmpty;
        new ReadOnlySpan<byte>(source, destination.Length).CopyTo(destination);
        return true;
    }

    /// <summary>Copies into RAM. False, and nothing is written, when the range is not RAM as a whole.</summary>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> source)
    {
        byte* destination = Find(address, (ulong)source.Length);
        if (destination == null)
            return source.IsEmpty;
        source.CopyTo(new Span<byte>(destination, source.Length));
        return true;
    }

    /// <summary>
    /// Gives whole pages back to the host: they read as zeroes afterwards. False when the range is not RAM as a
    /// whole, or the host will not take it. RAM is anonymous memory.
    /// </summary>
    public bool TryDiscard(ulong address, ulong length)
    {
        byte* host = Find(address, length);
        return host != null && madvise(host, (nuint)length, MADV_DONTNEED) == 0;
    }

    /// <summary>The same for the whole pages of a piece of a chain.</summary>
    /// <returns>Bytes.</returns>
    internal static ulong Discard(in iovec piece)
    {
        ulong start = Page.RoundUp((ulong)piece.iov_base);
        ulong end = Page.RoundDown((ulong)piece.iov_base + piece.iov_len);
        return start < end && madvise((void*)start, (nuint)(end - start), MADV_DONTNEED) == 0 ? end - start : 0;
    }

    /// <summary>
    /// Where a range is in the VMM, or null when it is not RAM as a whole. For rings and for buffers of
    /// host calls: whoever dereferences it reads what the guest is writing meanwhile.
    /// </summary>
    internal byte* Find(ulong address, ulong length)
    {
        if (length == 0)
            return null;
        // There are two regions or three: the hole below 4 GiB makes them.
        foreach (ref readonly RamRegion region in _regions.AsSpan())
        {
            // Below the region this wraps to something huge, which the comparison refuses as well.
            ulong offset = address - region.Start.Value;
            if (offset < region.Length && length <= region.Length - offset)
                return region.Host + offset;
        }
        return null;
    }
}
