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
    public void An_allocation_that_does_not_fit_leaves_nothing()
    {
        PageQuota quota = new(8);
        PagedObject file = _memory.CreateObject("file", 1, 2, quota);
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
