using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Host.Tests;

[Collection(nameof(Alone))]
public unsafe class MemoryMappingTests
{
    private const int Page = 4096;

    [Fact]
    public void Two_mappings_of_a_file_see_each_other()
    {
        using var file = FileDescriptor.CreateMemory("shared", Page);
        using var one = MemoryMapping.Map(Page, PROT_READ | PROT_WRITE, MAP_SHARED, file);
        using var two = MemoryMapping.Map(Page, PROT_READ, MAP_SHARED, file);
        one.Address[7] = 42;
        Assert.Equal(42, two.Address[7]);
    }

    [Fact]
    public void A_reservation_costs_nothing_and_can_be_filled()
    {
        using var space = MemoryMapping.Reserve((nuint)1 << 36);
        Assert.Equal(0, space.MapFixed(Page * 3, Page, PROT_READ | PROT_WRITE, MAP_PRIVATE, null, 0));
        space.Address[(Page * 3) + 1] = 1;
        Assert.Equal(0, space.Protect(Page * 3, Page, PROT_READ));
        Assert.Equal(0, space.Advise(Page * 3, Page, MADV_DONTNEED));
        Assert.Equal(0, space.Address[(Page * 3) + 1]);
    }

    [Fact]
    public void Failure_is_a_host_exception()
    {
        var failure = Assert.Throws<HostException>(() => MemoryMapping.Reserve(nuint.MaxValue / 2, "guest memory"));
        Assert.Equal(("mmap", ENOMEM, "guest memory"), (failure.Call, failure.Errno, failure.Subject));
        Assert.Equal(EINVAL, Assert.Throws<HostException>(() => MemoryMapping.Reserve(0)).Errno);
    }

    [Fact]
    public void A_part_must_lie_inside()
    {
        using var map = MemoryMapping.Reserve(Page * 4);
        Assert.Equal((nint)(map.Address + Page), (nint)map.At(Page, Page * 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => map.Protect(Page, Page * 4, PROT_READ));
        Assert.Throws<ArgumentOutOfRangeException>(() => map.Advise(Page * 5, 0, MADV_DONTNEED));
        // Offset plus length wraps around.
        Assert.Throws<ArgumentOutOfRangeException>(
            () => map.MapFixed(Page, nuint.MaxValue - Page + 1, PROT_NONE, MAP_PRIVATE, null, 0));
    }

    [Fact]
    public void Errors_of_parts_are_negative_numbers()
    {
        using var map = MemoryMapping.Reserve(Page * 2);
        Assert.Equal(-EINVAL, map.Protect(1, Page, PROT_READ));
        Assert.Equal(-EINVAL, map.Advise(0, Page, 12345));
    }

    [Fact]
    public void Map_refuses_a_fixed_address() =>
        Assert.Throws<ArgumentException>(() => MemoryMapping.Map(Page, PROT_NONE, MAP_PRIVATE | MAP_FIXED));

    [Fact]
    public void Dispose_unmaps_once()
    {
        var map = MemoryMapping.Map(Page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
        var address = map.Address;
        byte resident;
        Assert.Equal(0, mincore(address, Page, &resident));
        map.Dispose();
        Assert.Equal(-1, mincore(address, Page, &resident));
        Assert.Equal(ENOMEM, errno);
        // Whatever lies there now is not ours: a second Dispose must leave it alone.
        var other = mmap(address, Page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        Assert.True(other == address);
        map.Dispose();
        Assert.Equal(0, mincore(address, Page, &resident));
        munmap(address, Page);
        Assert.Throws<ObjectDisposedException>(() => map.Protect(0, Page, PROT_READ));
    }
}
