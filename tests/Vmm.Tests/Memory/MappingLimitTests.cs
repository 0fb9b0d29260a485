using Sandbox.Vmm.Memory;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Memory;

/// <summary>What is refused for want of room leaves things as they were.</summary>
public sealed class MappingLimitTests : IDisposable
{
    private const int Anonymous = MAP_PRIVATE | MAP_ANONYMOUS;

    private readonly GuestMemory _memory = new(64 << 20, new NoSlots());
    private readonly AddressSpace _space;

    public MappingLimitTests() => _space = _memory.CreateAddressSpace()!;

    public void Dispose()
    {
        _space.Release();
        _memory.Dispose();
    }

    private ulong Map(ulong at, ulong pages, int flags = Anonymous)
    {
        if (at != 0)
            flags |= MAP_FIXED;
        long result = _space.Map(
            new VirtualAddress(at), pages * Page.Size, Protection.ReadWrite, flags, null, 0);
        Assert.True(result > 0, $"{result}");
        return (ulong)result;
    }

    [Fact]
    public void At_the_limit_of_mappings_what_makes_none_more_still_works()
    {
        const ulong first = 0x10_0000_0000;
        for (int i = 0; i < MappingList.Limit; i++)
            Map(first + ((ulong)i * 4 * Page.Size), 3);
        Assert.Equal(-ENOMEM, _space.Map(default, Page.Size, Protection.Read, Anonymous, null, 0));
        Assert.Equal(-ENOMEM, _space.Unmap(new VirtualAddress(first + Page.Size), Page.Size));
        Assert.Equal(0, _space.Unmap(new VirtualAddress(first + (2 * Page.Size)), Page.Size));
        Assert.Equal(0, _space.Unmap(new VirtualAddress(first), 4 * Page.Size));
        Map(0, 1);
    }

    [Fact]
    public void Moves_make_no_more_mappings_than_there_may_be()
    {
        const ulong first = 0x10_0000_0000, target = 0x20_0000_0000;
        for (int i = 0; i < MappingList.Limit - 1; i++)
            Map(first + ((ulong)i * 4 * Page.Size), 3);
        long Move(int flags, ulong to) => _space.Remap(new VirtualAddress(first + Page.Size), Page.Size, Page.Size,
            MREMAP_MAYMOVE | flags, new VirtualAddress(to));
        Assert.Equal(-ENOMEM, Move(MREMAP_FIXED | MREMAP_DONTUNMAP, target));
        Assert.Equal(-ENOMEM, Move(MREMAP_FIXED, target));
        Assert.Equal(-ENOMEM, Move(MREMAP_DONTUNMAP, 0));
        Assert.Equal(-ENOMEM, _space.Remap(
            new VirtualAddress(first), 3 * Page.Size, 8 * Page.Size, MREMAP_MAYMOVE, default));
        Map(target, 1);
        Assert.Equal(-ENOMEM, _space.Remap(new VirtualAddress(first), 2 * Page.Size, Page.Size, 0, default));
        // What makes no more still works: at its place, and joined with the next.
        Assert.Equal((long)first, _space.Remap(new VirtualAddress(first), 3 * Page.Size, 2 * Page.Size, 0, default));
        Assert.Equal((long)first, _space.Remap(
            new VirtualAddress(first), 2 * Page.Size, 4 * Page.Size, MREMAP_MAYMOVE, default));
        Assert.Equal(0, _space.Unmap(new VirtualAddress(first), 64 * 4 * Page.Size));
        const ulong kept = first + (100 * 4 * Page.Size);
        int before = _space.Describe().Count;
        Assert.Equal((long)target, _space.Remap(new VirtualAddress(kept + Page.Size), Page.Size, Page.Size,
            MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, new VirtualAddress(target)));
        // The new one took the place of another, and the old place is whole again.
        Assert.Equal(before, _space.Describe().Count);
    }

    [Fact]
    public void The_break_makes_no_more_mappings_than_there_may_be()
    {
        const ulong first = 0x10_0000_0000, heap = 0x1000_0000;
        _space.SetBreakStart(new VirtualAddress(heap));
        for (int i = 0; i < MappingList.Limit; i++)
            Map(first + ((ulong)i * 4 * Page.Size), 3);
        Assert.Equal(heap, _space.SetBreak(heap + Page.Size));
        Assert.Equal(0, _space.Unmap(new VirtualAddress(first), 4 * Page.Size));
        Assert.Equal(heap + Page.Size, _space.SetBreak(heap + Page.Size));
    }

    [Fact]
    public void Mappings_are_charged_and_forks_of_many_end_at_the_memory_limit()
    {
        long before = _memory.Pool.UsedPages;
        AddressSpace space = _memory.CreateAddressSpace()!;
        for (int i = 0; i < MappingList.Limit; i++)
            Assert.True(space.Map(new VirtualAddress(0x10_0000_0000 + ((ulong)i * 2 * Page.Size)), Page.Size,
                Protection.None, Anonymous | MAP_FIXED, null, 0) > 0);
        Assert.InRange(_memory.Pool.UsedPages - before, MappingList.Limit / MappingList.PerPage, 2200);
        FakeCpu cpu = new(space);
        List<AddressSpace> children = [];
        while (children.Count < 100 && space.Fork(cpu) is { } child)
            children.Add(child);
        // 64 MiB: 16,384 pages.
        Assert.InRange(children.Count, 1, 8);
        foreach (AddressSpace child in children)
            child.Release();
        Assert.Equal(0, space.Unmap(new VirtualAddress(0x10_0000_0000), 1UL << 40));
        Assert.InRange(_memory.Pool.UsedPages - before, 0, 4);
        space.Release();
        Assert.Equal(before, _memory.Pool.UsedPages);
    }

    [Fact]
    public void The_VMMs_own_memory_for_a_sparse_object_is_charged()
    {
        long before = _memory.Pool.UsedPages;
        PagedObject file = _memory.CreateObject("file", 1, 2, quota: null);
        for (int i = 0; i < 100; i++)
            Assert.Equal(1, file.Write(((i + 1L) * Page.LargeSize) - 1, [1]));
        Assert.Equal((before + 200, 100), (_memory.Pool.UsedPages, file.PageCount));
        file.PunchHole((51L * Page.LargeSize) - Page.Size, Page.Size);
        Assert.Equal(0, file.SetLength(60L * Page.LargeSize));
        Assert.Equal((before + 118, 59), (_memory.Pool.UsedPages, file.PageCount));
        file.Release();
        Assert.Equal(before, _memory.Pool.UsedPages);
        // Small files take little of it.
        file = _memory.CreateObject("file", 1, 2, quota: null);
        for (int i = 0; i < 100; i++)
            Assert.Equal(1, file.Write(i * (long)Page.LargeSize, [1]));
        Assert.Equal(before + 100, _memory.Pool.UsedPages);
        Assert.Equal(100, file.Write(32 * Page.Size - 50, new byte[100]));
        Assert.Equal(before + 103, _memory.Pool.UsedPages);
        file.Release();
        Assert.Equal(before, _memory.Pool.UsedPages);
    }

    [Fact]
    public void An_allocation_that_does_not_fit_leaves_nothing()
    {
        PageQuota quota = new(8);
        PagedObject file = _memory.CreateObject("file", 1, 2, quota);
        long used = _memory.Pool.UsedPages;
        const long far = (1L << 40) + (40 * Page.Size);
        Assert.Equal(-ENOSPC, file.Allocate(far, 9 * Page.Size, keepSize: true));
        Assert.Equal(used, _memory.Pool.UsedPages);
        Assert.Equal(1, file.Write(2 * Page.Size, [7]));
        Assert.Equal(-ENOSPC, file.Allocate(0, 9 * Page.Size, keepSize: false));
        Assert.Equal((1L, (2L * Page.Size) + 1), (file.PageCount, file.Length));
        Assert.Equal(0, file.Allocate(0, 8 * Page.Size, keepSize: false));
        Assert.Equal(8, file.PageCount);
        Span<byte> kept = stackalloc byte[1];
        Assert.Equal(1, file.Read(2 * Page.Size, kept));
        Assert.Equal(7, kept[0]);
        file.Release();
    }
}
