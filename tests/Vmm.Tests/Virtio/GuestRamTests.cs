using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;

namespace Sandbox.Vmm.Tests.Virtio;

public sealed unsafe class GuestRamTests : IDisposable
{
    private const ulong Low = TestRam.LowStart, High = TestRam.HighStart;

    private readonly TestRam _memory = new();

    private GuestRam Ram => _memory.Ram;

    public void Dispose() => _memory.Dispose();

    [Flaw("RUSTSEC-2023-0056")]
    [Flaw("wrapping-address")]
    [Theory]
    [InlineData(Low, 1, true)]
    [InlineData(Low, 1 << 20, true)]
    [InlineData(Low + (1 << 20) - 1, 1, true)]
    [InlineData(High + 0x1000, 0x1000, true)]
    [InlineData(Low - 1, 1, false)]
    [InlineData(Low - 1, 2, false)]
    [InlineData(Low, (1 << 20) + 1, false)]
    [InlineData(Low + (1 << 20), 1, false)]
    [InlineData(Low + (1 << 20) - 1, 2, false)]
    [InlineData(Low, High, false)]
    [InlineData(0ul, 1, false)]
    [InlineData(ulong.MaxValue, 1, false)]
    [InlineData(ulong.MaxValue, 2, false)]
    [InlineData(ulong.MaxValue - 3, 8, false)]
    [InlineData(Low, ulong.MaxValue, false)]
    [InlineData(Low + 1, ulong.MaxValue, false)]
    [InlineData(High, ulong.MaxValue - High + 1, false)]
    [InlineData(Low, 0, false)]
    public void Only_what_lies_in_one_region_is_RAM(ulong address, ulong length, bool isRam)
    {
        Assert.Equal(isRam, Ram.Contains(address, length));
        Assert.Equal(isRam, Ram.Find(address, length) != null);
    }

    [Fact]
    public void Regions_that_touch_are_still_two()
    {
        byte* host = _memory.Ram.Find(Low, 2 * Page.Size);
        GuestRam ram = new(
            new RamRegion(new PhysicalAddress(0x2000), host + Page.Size, Page.Size),
            new RamRegion(new PhysicalAddress(0x1000), host, Page.Size));
        Assert.True(ram.Contains(0x1fff, 1));
        Assert.False(ram.Contains(0x1fff, 2));
        Assert.Equal(2ul * Page.Size, ram.TotalBytes);
    }

    [Fact]
    public void Copies_go_where_they_should_and_nowhere_else()
    {
        byte[] data = [1, 2, 3, 4, 5];
        Assert.True(Ram.TryWrite(High + 10, data));
        Assert.Equal([0, 1, 2, 3, 4, 5, 0], _memory.Bytes(High + 9, 7).ToArray());
        byte[] back = new byte[5];
        Assert.True(Ram.TryRead(High + 10, back));
        Assert.Equal(data, back);
        Assert.True(Ram.TryWrite(0, []));
        Assert.True(Ram.TryRead(0, []));
    }

    [Flaw("RUSTSEC-2023-0056")]
    [Fact]
    public void A_copy_that_leaves_RAM_moves_nothing()
    {
        ulong end = Low + _memory.BytesEach;
        Assert.False(Ram.TryWrite(end - 2, [1, 2, 3]));
        Assert.Equal([0, 0], _memory.Bytes(end - 2, 2).ToArray());
        byte[] target = [9, 9, 9];
        Assert.False(Ram.TryRead(end - 2, target));
        Assert.Equal([9, 9, 9], target);
    }

    [Fact]
    public void Regions_are_whole_pages_that_do_not_overlap()
    {
        byte* host = Ram.Find(Low, 0x4000);
        Assert.Throws<ArgumentException>(() => new GuestRam(Region(0x1000, 0, 0x1000), Region(0x1000, 0x1000, 0x1000)));
        Assert.Throws<ArgumentException>(() => new GuestRam(Region(0x1000, 0, 0x2000), Region(0x2000, 0x2000, 0x1000)));
        Assert.Throws<ArgumentException>(() => new GuestRam(Region(0x1000, 0, 0)));
        Assert.Throws<ArgumentException>(() => new GuestRam(Region(0x1001, 0, 0x1000)));
        Assert.Throws<ArgumentException>(() => new GuestRam(Region(0x1000, 1, 0x1000)));
        Assert.Throws<ArgumentException>(() => new GuestRam(Region(0x1000, 0, 0x1001)));
        Assert.Throws<ArgumentException>(() => new GuestRam(Region(0xffff_ffff_ffff_f000, 0, 0x2000)));

        RamRegion Region(ulong start, int offset, ulong length) =>
            new(new PhysicalAddress(start), host + offset, length);
    }
}
