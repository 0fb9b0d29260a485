using System.Numerics;
using System.Runtime.CompilerServices;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Memory;

/// <summary>
/// The guest's anonymous memory: as many pages as its limit allows, and no more, so that the limit holds by
/// construction. Hands out zeroed 4 KiB pages and aligned 2 MiB blocks, both counted by reference.
/// </summary>
/// <remarks>
/// Pages live in one lazily populated host mapping. The memory slots that expose it to the guest are registered as
/// the pool grows, each doubling the total, because the host pays for a slot by its size. The lock is a leaf.
/// </remarks>
public sealed unsafe class PagePool : IDisposable
{
    /// <summary>Where the pool starts in guest-physical space.</summary>
    public const ulong PhysicalBase = 0x1_0000_0000;

    /// <summary>The file window begins here, so the pool ends here: 252 GiB.</summary>
    public const ulong PhysicalLimit = FileWindow.PhysicalBase;

    private const int BlockPages = Page.PerLarge;
    private const int BitmapWords = BlockPages / 64;
    private const int FirstSlotBlocks = 16;
    private const int NoBlock = -1;

    private readonly Lock _lock = new();
    private readonly IMemorySlots _slots;
    private MemoryMapping? _reserve;
    private MemoryMapping? _tables;
    private byte* _memory;
    private int* _references;
    private Block* _blocks;
    private int _blockCount;
    private long _pageLimit = long.MaxValue;

    private int _untouchedBlock;
    private int _exposedBlocks;
    private int _freeBlocks = NoBlock;
    private int _partialBlocks = NoBlock;
    private long _usedPages;
    private long _peakPages;

    private struct Block
    {
        /// <summary>Bit set: the page is free. Meaningful only while the block is in use as single pages.</summary>
        public fixed ulong Free[BitmapWords];
        public int FreeCount;
        public int Next;
        public int Previous;
        /// <summary>Pages may hold old data.</summary>
        public bool Dirty;
    }

    /// <summary>A pool that counts charges and has no pages yet.</summary>
    public PagePool(IMemorySlots slots) => _slots = slots;

    /// <summary>Gives the pool its pages, once, before the guest runs. What was charged already counts.</summary>
    /// <param name="bytes">The guest's memory limit.</param>
    public void Open(ulong bytes)
    {
        if (_reserve is not null)
            throw new InvalidOperationException("the pool has its pages already");
        _pageLimit = (long)(bytes / Page.Size);
        ulong blocks = (bytes + Page.LargeSize - 1) / Page.LargeSize;
        if (_pageLimit == 0 || blocks > (PhysicalLimit - PhysicalBase) / Page.LargeSize)
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, "memory must be 4 KiB to 252 GiB");
        _blockCount = (int)blocks;
        _reserve = MemoryMapping.ReserveAligned(
            (nuint)blocks * Page.LargeSize, Page.LargeSize, PROT_READ | PROT_WRITE, "guest memory");
        _memory = _reserve.Address;
        // Best effort: without huge pages the guest is slower, not less safe. The first block has none: a small program
        // touches a few pages, and clearing two megabytes for them takes longer than all else that it does.
        if (blocks > 1)
            _ = madvise(_memory + Page.LargeSize, _reserve.Length - (nuint)Page.LargeSize, MADV_HUGEPAGE);
        _ = madvise(_memory, _reserve.Length, MADV_DONTDUMP);
        nuint referenceBytes = (nuint)(blocks * BlockPages * sizeof(int));
        _tables = MemoryMapping.Map(referenceBytes + (nuint)(blocks * (ulong)sizeof(Block)),
            PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, what: "page counters");
        _references = (int*)_tables.Address;
        _blocks = (Block*)(_tables.Address + referenceBytes);
    }

    public ulong LimitBytes => (ulong)_pageLimit * Page.Size;

    public long UsedPages => Volatile.Read(ref _usedPages);

    public long PeakPages => Volatile.Read(ref _peakPages);

    public long AvailablePages => Math.Max(0, _pageLimit - UsedPages);

    /// <summary>True for addresses of this pool, as opposed to the file window.</summary>
    public static bool Contains(PhysicalAddress address) => address.Value is >= PhysicalBase and < PhysicalLimit;

    /// <summary>Counts pages against the limit that live elsewhere (page tables). False at the limit.</summary>
    public bool TryCharge(long pages)
    {
        lock (_lock)
            return TryChargeLocked(pages);
    }

    public void Uncharge(long pages)
    {
        lock (_lock)
            _usedPages -= pages;
    }

    /// <summary>A zeroed page with one reference, or None at the limit.</summary>
    public PhysicalAddress AllocatePage() => AllocatePage(zero: true);

    /// <summary>A page whose content the caller overwrites completely, or None at the limit.</summary>
    public PhysicalAddress AllocatePageForOverwrite() => AllocatePage(zero: false);

    private PhysicalAddress AllocatePage(bool zero)
    {
        long index;
        bool dirty;
        lock (_lock)
        {
            if (!TryChargeLocked(1))
                return PhysicalAddress.None;
            if (_partialBlocks == NoBlock && !TrySplitBlock())
            {
                _usedPages--;
                return PhysicalAddress.None;
            }
            int number = _partialBlocks;
            Block* block = &_blocks[number];
            int word = 0;
            while (block->Free[word] == 0)
                word++;
            int bit = BitOperations.TrailingZeroCount(block->Free[word]);
            block->Free[word] &= block->Free[word] - 1;
            if (--block->FreeCount == 0)
                Unlink(ref _partialBlocks, number);
            index = ((long)number * BlockPages) + (word * 64) + bit;
            _references[index] = 1;
            dirty = block->Dirty;
        }
        if (dirty && zero)
            Unsafe.InitBlockUnaligned(_memory + (index * Page.Size), 0, Page.Size);
        return AddressOf(index);
    }

    /// <summary>A zeroed, 2 MiB aligned block with one reference on each page, or None.</summary>
    public PhysicalAddress AllocateLarge()
    {
        int number;
        bool dirty;
        lock (_lock)
        {
            if (!TryChargeLocked(BlockPages))
                return PhysicalAddress.None;
            if (!TryTakeBlock(out number))
            {
                _usedPages -= BlockPages;
                return PhysicalAddress.None;
            }
            Block* block = &_blocks[number];
            dirty = block->Dirty;
            block->FreeCount = 0;
            block->Dirty = true;
            for (int word = 0; word < BitmapWords; word++)
                block->Free[word] = 0;
            long first = (long)number * BlockPages;
            for (int i = 0; i < BlockPages; i++)
                _references[first + i] = 1;
        }
        if (dirty)
            Unsafe.InitBlockUnaligned(_memory + ((long)number * Page.LargeSize), 0, Page.LargeSize);
        return AddressOf((long)number * BlockPages);
    }

    public void Acquire(PhysicalAddress page)
    {
        if (Interlocked.Increment(ref _references[IndexOf(page)]) <= 1)
            throw new InvalidOperationException($"a free page was acquired: {page}");
    }

    public int References(PhysicalAddress page) => Volatile.Read(ref _references[IndexOf(page)]);

    public void Release(PhysicalAddress page)
    {
        long index = IndexOf(page);
        int left = Interlocked.Decrement(ref _references[index]);
        if (left > 0)
            return;
        if (left < 0)
            throw new InvalidOperationException($"a free page was released: {page}");
        lock (_lock)
        {
            int number = (int)(index / BlockPages);
            Block* block = &_blocks[number];
            int inBlock = (int)(index % BlockPages);
            block->Free[inBlock / 64] |= 1UL << (inBlock % 64);
            block->Dirty = true;
            _usedPages--;
            if (++block->FreeCount == 1)
                Link(ref _partialBlocks, number);
            if (block->FreeCount == BlockPages)
            {
                Unlink(ref _partialBlocks, number);
                Link(ref _freeBlocks, number);
            }
        }
    }

    /// <summary>The host address of a pool page. The caller holds a reference to the page.</summary>
    internal byte* HostAddress(PhysicalAddress page) => _memory + (page.Value - PhysicalBase);

    private bool TryChargeLocked(long pages)
    {
        if (_usedPages + pages > _pageLimit)
            return false;
        _usedPages += pages;
        if (_usedPages > _peakPages)
            _peakPages = _usedPages;
        return true;
    }

    private bool TrySplitBlock()
    {
        if (!TryTakeBlock(out int number))
            return false;
        Block* block = &_blocks[number];
        for (int word = 0; word < BitmapWords; word++)
            block->Free[word] = ulong.MaxValue;
        block->FreeCount = BlockPages;
        Link(ref _partialBlocks, number);
        return true;
    }

    private bool TryTakeBlock(out int number)
    {
        number = _freeBlocks;
        if (number != NoBlock)
        {
            Unlink(ref _freeBlocks, number);
            return true;
        }
        if (_untouchedBlock == _blockCount)
            return false;
        if (_untouchedBlock == _exposedBlocks)
            Expose();
        number = _untouchedBlock++;
        return true;
    }

    private void Expose()
    {
        int count = Math.Min(Math.Max(FirstSlotBlocks, _exposedBlocks), _blockCount - _exposedBlocks);
        ulong offset = (ulong)_exposedBlocks * Page.LargeSize;
        _slots.Add(new PhysicalAddress(PhysicalBase + offset), _memory + offset, (ulong)count * Page.LargeSize);
        _exposedBlocks += count;
    }

    private void Link(ref int head, int number)
    {
        Block* block = &_blocks[number];
        block->Previous = NoBlock;
        block->Next = head;
        if (head != NoBlock)
            _blocks[head].Previous = number;
        head = number;
    }

    private void Unlink(ref int head, int number)
    {
        Block* block = &_blocks[number];
        if (block->Previous == NoBlock)
            head = block->Next;
        else
            _blocks[block->Previous].Next = block->Next;
        if (block->Next != NoBlock)
            _blocks[block->Next].Previous = block->Previous;
    }

    private static PhysicalAddress AddressOf(long index) => new(PhysicalBase + ((ulong)index * Page.Size));

    private long IndexOf(PhysicalAddress page)
    {
        ulong index = (page.Value - PhysicalBase) / Page.Size;
        if (index >= (ulong)_blockCount * BlockPages)
            throw new ArgumentOutOfRangeException(nameof(page), page, "not a page of the pool");
        return (long)index;
    }

    public void Dispose()
    {
        _reserve?.Dispose();
        _tables?.Dispose();
    }
}
