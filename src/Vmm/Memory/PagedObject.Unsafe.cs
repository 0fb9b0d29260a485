using System.Numerics;
using System.Runtime.CompilerServices;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Memory;

/// <summary>
/// A sparse array of pages in the guest's memory pool: the content of a tmpfs file or memfd, or a piece of shared
/// anonymous memory. Mappings and reads see the same pages, so every view is coherent. Holes read as zeros and cost
/// nothing. Reference-counted by its users (an inode, each mapping). Safe from any thread.
/// </summary>
/// <remarks>
/// The object's lock comes below an address space's lock. Taking pages away needs the reverse order, so they first
/// leave the object (and a shorter one gets its length), then every address space, without the object's lock; and only
/// then are they free.
/// </remarks>
public sealed unsafe class PagedObject : IMappingBacking
{
    /// <summary>The largest file, as on a 64-bit tmpfs: 2^63-1 rounded down to a page.</summary>
    public const long MaximumLength = long.MaxValue & ~(long)(Page.Size - 1);

    private const int LeafShift = 9;
    private const int LeafPages = 1 << LeafShift;

    /// <summary>A leaf with room for more than this is charged to the guest: most files are small.</summary>
    private const int FreeLeafPages = 32;

    /// <summary>2 MiB of the object. With room for all its pages it takes a page of the VMM's own memory.</summary>
    private sealed class Leaf
    {
        /// <summary>Up to the highest that there was, and some.</summary>
        public PhysicalAddress[] Pages = [];

        /// <summary>How many of them there are; the object has no leaf without one.</summary>
        public int Count;

        public bool IsCharged => Pages.Length > FreeLeafPages;
    }

    private readonly Lock _lock = new();
    private readonly PagePool _pool;
    private readonly PageQuota? _quota;
    private readonly Dictionary<long, Leaf> _leaves = [];
    private readonly List<AddressSpace> _spaces = [];
    private long _length;
    private long _pages;
    private int _references = 1;
    private int _writers;
    private bool _refusesWriters;

    internal PagedObject(PagePool pool, string name, ulong device, ulong inode, PageQuota? quota)
    {
        _pool = pool;
        _quota = quota;
        MappingName = name;
        Identity = (device, inode);
    }

    public string MappingName { get; set; }

    public (ulong Device, ulong Inode) Identity { get; }

    public long Length => Volatile.Read(ref _length);

    /// <summary>Pages that exist, for st_blocks.</summary>
    public long PageCount => Volatile.Read(ref _pages);

    /// <summary>Bytes read; 0 at or past the end.</summary>
    public long Read(long offset, Span<byte> destination)
    {
        lock (_lock)
        {
            if (offset < 0 || offset >= _length)
                return 0;
            int total = (int)Math.Min(destination.Length, _length - offset);
            for (int done = 0; done < total;)
            {
                int inPage = (int)((offset + done) & (Page.Size - 1));
                Span<byte> part = destination.Slice(done, Math.Min(Page.Size - inPage, total - done));
                PhysicalAddress page = Find((offset + done) >> Page.Shift);
                if (page.IsNone)
                    part.Clear();
                else
                    new ReadOnlySpan<byte>(_pool.HostAddress(page) + inPage, part.Length).CopyTo(part);
                done += part.Length;
            }
            return total;
        }
    }

    /// <summary>
    /// Bytes written, growing the object; short at the quota or memory limit, -ENOSPC when not even one byte fits,
    /// -EFBIG past <see cref="MaximumLength"/>. Writing nothing changes nothing.
    /// </summary>
    public long Write(long offset, ReadOnlySpan<byte> source)
    {
        if (offset < 0 || offset > MaximumLength - source.Length)
            return -EFBIG;
        lock (_lock)
        {
            int done = 0;
            while (done < source.Length)
            {
                int inPage = (int)((offset + done) & (Page.Size - 1));
                ReadOnlySpan<byte> part = source.Slice(done, Math.Min(Page.Size - inPage, source.Length - done));
                PhysicalAddress page = FindOrCreate((offset + done) >> Page.Shift);
                if (page.IsNone)
                    break;
                part.CopyTo(new Span<byte>(_pool.HostAddress(page) + inPage, part.Length));
                done += part.Length;
            }
            if (done == 0 && source.Length > 0)
                return -ENOSPC;
            if (done > 0 && offset + done > _length)
                Volatile.Write(ref _length, offset + done);
            return done;
        }
    }

    /// <summary>ftruncate(2): pages past the end vanish from every mapping; growing makes a hole.</summary>
    public long SetLength(long length)
    {
        if (length is < 0 or > MaximumLength)
            return -EFBIG;
        bool shrinks;
        lock (_lock)
        {
            shrinks = length < _length;
            Volatile.Write(ref _length, length);
        }
        if (shrinks)
            Discard((length + Page.Size - 1) >> Page.Shift, long.MaxValue >> Page.Shift, isHole: false);
        lock (_lock)
        {
            // The rest of the last page must read as zeros if the file grows again.
            int inPage = (int)(length & (Page.Size - 1));
            PhysicalAddress last = shrinks && inPage != 0 ? Find(length >> Page.Shift) : PhysicalAddress.None;
            if (!last.IsNone)
                Unsafe.InitBlockUnaligned(_pool.HostAddress(last) + inPage, 0, (uint)(Page.Size - inPage));
        }
        return 0;
    }

    /// <summary>fallocate(2) with FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE.</summary>
    public void PunchHole(long offset, long length)
    {
        long end = Math.Min(offset + length, Length);
        long firstWhole = (offset + Page.Size - 1) >> Page.Shift;
        long lastWhole = end >> Page.Shift;
        if (firstWhole < lastWhole)
            Discard(firstWhole, lastWhole, isHole: true);
        Zero(offset, Math.Min(end, firstWhole << Page.Shift));
        if (lastWhole >= firstWhole)
            Zero(lastWhole << Page.Shift, end);
    }

    /// <summary>fallocate(2): makes the pages exist, all of them or none. 0 or -ENOSPC.</summary>
    public long Allocate(long offset, long length, bool keepSize)
    {
        if (offset < 0 || length <= 0 || offset > MaximumLength - length)
            return -EFBIG;
        List<long> made = [];
        lock (_lock)
        {
            for (long page = offset >> Page.Shift; page <= (offset + length - 1) >> Page.Shift; page++)
            {
                if (!Find(page).IsNone)
                    continue;
                if (FindOrCreate(page).IsNone)
                {
                    foreach (long undone in made)
                        Remove(undone);
                    return -ENOSPC;
                }
                made.Add(page);
            }
            if (!keepSize && offset + length > _length)
                Volatile.Write(ref _length, offset + length);
            return 0;
        }
    }

    /// <summary>SEEK_DATA and SEEK_HOLE: the next offset that is (not) data, or -ENXIO.</summary>
    public long Next(long offset, bool data)
    {
        lock (_lock)
        {
            if (offset < 0 || offset >= _length)
                return -ENXIO;
            for (long page = offset >> Page.Shift; page << Page.Shift < _length;)
            {
                if (!_leaves.ContainsKey(page >> LeafShift))
                {
                    if (!data)
                        return Math.Max(offset, page << Page.Shift);
                    long leaf = NextLeaf(page >> LeafShift);
                    if (leaf < 0)
                        break;
                    page = leaf << LeafShift;
                    continue;
                }
                if (Find(page).IsNone != data)
                    return Math.Max(offset, page << Page.Shift);
                page++;
            }
            return data ? -ENXIO : _length;
        }
    }

    /// <summary>How many hold it: its mappings, and what has it beside them.</summary>
    public int References => Volatile.Read(ref _references);

    public void Acquire() => Interlocked.Increment(ref _references);

    /// <summary>False when nobody holds it any more, and it has no pages.</summary>
    public bool TryAcquire()
    {
        int references;
        do
        {
            references = Volatile.Read(ref _references);
            if (references == 0)
                return false;
        }
        while (Interlocked.CompareExchange(ref _references, references + 1, references) != references);
        return true;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0)
            Discard(0, long.MaxValue >> Page.Shift, isHole: false);
    }

    /// <summary>
    /// The page at an index with one reference for the caller's leaf; None when past the end, when it is a hole and
    /// <paramref name="create"/> is false, or at a limit.
    /// </summary>
    internal PhysicalAddress GetPage(long index, bool create, out bool pastEnd)
    {
        lock (_lock)
        {
            pastEnd = index > (_length - 1) >> Page.Shift;
            if (pastEnd)
                return PhysicalAddress.None;
            PhysicalAddress page = create ? FindOrCreate(index) : Find(index);
            if (!page.IsNone)
                _pool.Acquire(page);
            return page;
        }
    }

    /// <summary>An address space maps (a part of) the object, once per mapping.</summary>
    internal void Register(AddressSpace space)
    {
        lock (_lock)
            _spaces.Add(space);
    }

    internal void Unregister(AddressSpace space)
    {
        lock (_lock)
            _spaces.Remove(space);
    }

    /// <summary>
    /// One more shared mapping that is, or may become, writable. False once <see cref="RefuseWriters"/> was called.
    /// </summary>
    internal bool TryAddWriter()
    {
        lock (_lock)
        {
            if (_refusesWriters)
                return false;
            _writers++;
            return true;
        }
    }

    /// <summary>A piece or a copy of one that is counted.</summary>
    internal void AddWriter()
    {
        lock (_lock)
            _writers++;
    }

    internal void RemoveWriter()
    {
        lock (_lock)
            _writers--;
    }

    /// <summary>No new shared mapping may be written (F_SEAL_FUTURE_WRITE); 0.</summary>
    /// <param name="unlessMapped">-EBUSY while there is such a mapping (F_SEAL_WRITE).</param>
    public long RefuseWriters(bool unlessMapped)
    {
        lock (_lock)
        {
            if (unlessMapped && _writers > 0)
                return -EBUSY;
            _refusesWriters = true;
            return 0;
        }
    }

    private void Discard(long firstPage, long endPage, bool isHole)
    {
        Dictionary<long, Leaf> detached = [];
        lock (_lock)
            Detach(firstPage, endPage, detached);
        Func<long, PhysicalAddress, bool>? isOriginal =
            isHole ? (index, page) => Find(detached, index) == page : null;
        // A fork meanwhile may have copied what its parent still had: until there is no space that was not asked.
        HashSet<AddressSpace> asked = [];
        while (SpacesBut(asked) is { Length: > 0 } spaces)
        {
            foreach (AddressSpace space in spaces)
                space.DropObjectPages(this, firstPage, endPage, isOriginal);
            asked.UnionWith(spaces);
        }
        foreach (Leaf leaf in detached.Values)
            foreach (PhysicalAddress page in leaf.Pages)
                if (!page.IsNone)
                    _pool.Release(page);
    }

    private AddressSpace[] SpacesBut(HashSet<AddressSpace> asked)
    {
        lock (_lock)
            return [.. _spaces.Except(asked)];
    }

    /// <summary>From here on nobody finds these pages who does not have them already.</summary>
    private void Detach(long firstPage, long endPage, Dictionary<long, Leaf> detached)
    {
        foreach ((long number, Leaf leaf) in _leaves)
        {
            long start = number << LeafShift;
            long first = Math.Max(firstPage - start, 0), end = Math.Min(endPage - start, leaf.Pages.Length);
            if (first >= end)
                continue;
            Leaf gone = new() { Pages = new PhysicalAddress[end] };
            for (long i = first; i < end; i++)
            {
                if (leaf.Pages[i].IsNone)
                    continue;
                (gone.Pages[i], leaf.Pages[i]) = (leaf.Pages[i], PhysicalAddress.None);
                gone.Count++;
                leaf.Count--;
            }
            detached.Add(number, gone);
            _pages -= gone.Count;
            _quota?.Uncharge(gone.Count);
            if (leaf.Count == 0)
                RemoveLeaf(number);
        }
    }

    private void Zero(long start, long end)
    {
        if (start >= end)
            return;
        lock (_lock)
        {
            PhysicalAddress page = Find(start >> Page.Shift);
            if (!page.IsNone)
                Unsafe.InitBlockUnaligned(_pool.HostAddress(page) + (start & (Page.Size - 1)), 0, (uint)(end - start));
        }
    }

    private PhysicalAddress Find(long index) => Find(_leaves, index);

    private static PhysicalAddress Find(Dictionary<long, Leaf> leaves, long index) =>
        leaves.TryGetValue(index >> LeafShift, out Leaf? leaf) && (index & (LeafPages - 1)) < leaf.Pages.Length
            ? leaf.Pages[index & (LeafPages - 1)] : PhysicalAddress.None;

    private PhysicalAddress FindOrCreate(long index)
    {
        PhysicalAddress page = Find(index);
        if (!page.IsNone)
            return page;
        if (_quota is not null && !_quota.TryCharge(1))
            return PhysicalAddress.None;
        page = Create(index);
        if (page.IsNone)
            _quota?.Uncharge(1);
        return page;
    }

    private PhysicalAddress Create(long index)
    {
        int place = (int)(index & (LeafPages - 1));
        _leaves.TryGetValue(index >> LeafShift, out Leaf? leaf);
        bool isCharged = leaf is { IsCharged: true }, isLarge = place >= FreeLeafPages;
        if (isLarge && !isCharged && !_pool.TryCharge(1))
            return PhysicalAddress.None;
        PhysicalAddress page = _pool.AllocatePage();
        if (page.IsNone)
        {
            if (isLarge && !isCharged)
                _pool.Uncharge(1);
            return page;
        }
        if (leaf is null)
            _leaves.Add(index >> LeafShift, leaf = new Leaf());
        if (place >= leaf.Pages.Length)
            Array.Resize(ref leaf.Pages, isLarge ? LeafPages : (int)BitOperations.RoundUpToPowerOf2((uint)place + 1));
        leaf.Pages[place] = page;
        leaf.Count++;
        _pages++;
        return page;
    }

    // A page that was made under the same hold of the lock: nobody maps it.
    private void Remove(long index)
    {
        Leaf leaf = _leaves[index >> LeafShift];
        ref PhysicalAddress page = ref leaf.Pages[index & (LeafPages - 1)];
        _pool.Release(page);
        page = PhysicalAddress.None;
        _pages--;
        _quota?.Uncharge(1);
        if (--leaf.Count == 0)
            RemoveLeaf(index >> LeafShift);
    }

    private void RemoveLeaf(long number)
    {
        if (_leaves.Remove(number, out Leaf? leaf) && leaf.IsCharged)
            _pool.Uncharge(1);
    }

    private long NextLeaf(long after)
    {
        long next = -1;
        foreach (long leaf in _leaves.Keys)
            if (leaf > after && (next < 0 || leaf < next))
                next = leaf;
        return next;
    }
}
