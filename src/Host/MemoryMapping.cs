using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>
/// An owned region of the process's address space: unmapped by <see cref="Dispose"/> and by nothing else. There is no
/// finalizer on purpose: pointers into the region live in page tables, KVM slots and other threads, which the garbage
/// collector does not see.
/// </summary>
public sealed unsafe class MemoryMapping : IDisposable
{
    private int _disposed;

    private MemoryMapping(byte* address, nuint length)
    {
        Address = address;
        Length = length;
    }

    /// <summary>The first byte; aligned to a page.</summary>
    public byte* Address { get; }

    /// <summary>Bytes, as asked for.</summary>
    public nuint Length { get; }

    /// <summary>Maps a file, or anonymous memory if <paramref name="file"/> is null.</summary>
    /// <param name="length">Bytes, more than 0.</param>
    /// <param name="protection">PROT_*.</param>
    /// <param name="flags">MAP_SHARED or MAP_PRIVATE with MAP_*; not MAP_FIXED, which destroys what it hits.</param>
    /// <param name="offset">Where in the file, page-aligned.</param>
    /// <exception cref="HostException">mmap failed.</exception>
    public static MemoryMapping Map(
        nuint length, int protection, int flags, FileDescriptor? file = null, long offset = 0, string? what = null)
    {
        if ((flags & MAP_FIXED) != 0)
            throw new ArgumentException("MAP_FIXED belongs to MapFixed", nameof(flags));
        if (file is null)
            flags |= MAP_ANONYMOUS;
        var address = mmap(null, length, protection, flags, file?.Value ?? -1, offset);
        GC.KeepAlive(file);
        if (address == MAP_FAILED)
            throw HostException.Last("mmap", what ?? $"{length} bytes");
        try
        {
            return new MemoryMapping((byte*)address, length);
        }
        catch (OutOfMemoryException)
        {
            munmap(address, length);
            throw;
        }
    }

    /// <summary>Reserves addresses without memory: PROT_NONE, MAP_NORESERVE.</summary>
    /// <exception cref="HostException">mmap failed.</exception>
    public static MemoryMapping Reserve(nuint length, string? what = null) =>
        Map(length, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE, what: what);

    /// <summary>
    /// Reserves anonymous memory that starts at a multiple of <paramref name="alignment"/> (a power of two, at least a
    /// page), so that large pages can serve it. Pages cost nothing until they are touched.
    /// </summary>
    /// <param name="protection">PROT_*.</param>
    /// <exception cref="HostException">mmap failed.</exception>
    public static MemoryMapping ReserveAligned(nuint length, nuint alignment, int protection, string? what = null)
    {
        MemoryMapping wide = Map(length + alignment, protection, MAP_PRIVATE | MAP_NORESERVE, what: what);
        nuint head = (nuint)(-(nint)wide.Address) & (alignment - 1);
        byte* start = wide.Address + head;
        if ((head != 0 && munmap(wide.Address, head) != 0) || munmap(start + length, alignment - head) != 0)
            throw HostException.Last("munmap", what);
        return new MemoryMapping(start, length);
    }

    /// <summary>
    /// Replaces a part of the region by another mapping (mmap with MAP_FIXED). Answers 0 or a negative error number,
    /// after which the old mapping of the part may be gone.
    /// </summary>
    public int MapFixed(nuint offset, nuint length, int protection, int flags, FileDescriptor? file, long fileOffset)
    {
        var at = At(offset, length);
        if (file is null)
            flags |= MAP_ANONYMOUS;
        var address = mmap(at, length, protection, flags | MAP_FIXED, file?.Value ?? -1, fileOffset);
        GC.KeepAlive(file);
        return address == MAP_FAILED ? -errno : 0;
    }

    /// <summary>mprotect(2) on a part: 0 or a negative error number.</summary>
    public int Protect(nuint offset, nuint length, int protection) =>
        mprotect(At(offset, length), length, protection) == 0 ? 0 : -errno;

    /// <summary>madvise(2) on a part: 0 or a negative error number.</summary>
    public int Advise(nuint offset, nuint length, int advice) =>
        madvise(At(offset, length), length, advice) == 0 ? 0 : -errno;

    /// <summary>Unmaps the region. The caller has made sure that no thread and no device uses it any more.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0 && munmap(Address, Length) != 0)
            throw HostException.Last("munmap", $"{Length} bytes");
    }

    /// <summary>A part that lies wholly inside. It must not outlive the mapping.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    public Span<byte> Span(nuint offset, nuint length) => new(At(offset, length), (int)length);

    /// <summary>The address of a part that lies wholly inside.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    public byte* At(nuint offset, nuint length)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - offset);
        return Address + offset;
    }
}
