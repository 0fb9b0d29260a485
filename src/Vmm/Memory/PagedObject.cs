namespace Sandbox.Vmm.Memory;

/// <summary>
/// A sparse array of pages in the guest's memory pool: the content of a tmpfs file or memfd, or a piece of shared
/// anonymous memory. Mappings and reads see the same pages, so every view is coherent. Holes read as zeros and cost
/// nothing. Reference-counted by its users (an inode, each mapping). Safe from any thread.
/// </summary>
public sealed partial class PagedObject : IMappable
{
    public string MappingName { get; set; } = "";

    public (ulong Device, ulong Inode) Identity => throw new NotImplementedException();

    public long Length => throw new NotImplementedException();

    /// <summary>Pages that exist, for st_blocks.</summary>
    public long PageCount => throw new NotImplementedException();

    /// <summary>Bytes read; 0 at or past the end.</summary>
    public long Read(long offset, Span<byte> destination) => throw new NotImplementedException();

    /// <summary>Bytes written (short at the quota), growing the object; -ENOSPC when not even one byte fits.</summary>
    public long Write(long offset, ReadOnlySpan<byte> source) => throw new NotImplementedException();

    /// <summary>ftruncate: pages past the end vanish from every mapping.</summary>
    public long SetLength(long length) => throw new NotImplementedException();

    /// <summary>fallocate with FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE.</summary>
    public void PunchHole(long offset, long length) => throw new NotImplementedException();

    /// <summary>fallocate: makes the pages exist. 0 or -ENOSPC.</summary>
    public long Allocate(long offset, long length, bool keepSize) => throw new NotImplementedException();

    /// <summary>SEEK_DATA and SEEK_HOLE: the next offset that is (not) data, or -ENXIO.</summary>
    public long Next(long offset, bool data) => throw new NotImplementedException();

    public void Acquire() => throw new NotImplementedException();

    public void Release() => throw new NotImplementedException();
}
