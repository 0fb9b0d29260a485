using Sandbox.Vmm.Devices;
using Sandbox.Vmm.Machine;
using Xunit;

namespace Sandbox.Vmm.Tests.Machine;

public class DeviceBusTests
{
    /// <summary>Remembers where it was last accessed, and reads as its own number.</summary>
    private sealed class Probe(byte number) : IBusDevice
    {
        public List<(ulong Offset, int Length)> Accesses { get; } = [];

        public void Read(ulong offset, Span<byte> data)
        {
            Accesses.Add((offset, data.Length));
            data.Fill(number);
        }

        public void Write(ulong offset, ReadOnlySpan<byte> data) => Accesses.Add((offset, data.Length));
    }

    [Fact]
    public void Finds_each_device_by_any_of_its_addresses_and_nothing_beside_it()
    {
        DeviceBus bus = new();
        Probe[] probes = [.. Enumerable.Range(1, 9).Select(number => new Probe((byte)number))];
        foreach (int i in (int[])[4, 0, 8, 2, 6, 1, 3, 7, 5])
            bus.Add(0x1000 + ((ulong)i * 0x100), 0x80, probes[i]);
        byte[] data = new byte[4];
        for (int i = 0; i < 9; i++)
        {
            ulong start = 0x1000 + ((ulong)i * 0x100);
            foreach (ulong offset in (ulong[])[0, 4, 0x7c])
            {
                bus.Read(start + offset, data);
                Assert.Equal([(byte)(i + 1), (byte)(i + 1), (byte)(i + 1), (byte)(i + 1)], data);
                Assert.Equal((offset, 4), probes[i].Accesses[^1]);
            }
            Assert.Equal(0, bus.StrayReads - i);
            bus.Read(start + 0x80, data);
            Assert.Equal([0xff, 0xff, 0xff, 0xff], data);
        }
        Assert.Equal(9, bus.StrayReads);
    }

    [Theory]
    [InlineData(0xffful, 1)]
    [InlineData(0xffful, 2)]
    [InlineData(0x1007ul, 2)]
    [InlineData(0x1001ul, 8)]
    [InlineData(0x1008ul, 1)]
    [InlineData(ulong.MaxValue, 8)]
    [InlineData(0ul, 8)]
    public void Accesses_that_are_not_within_one_device_read_ones_write_nothing_and_are_counted(ulong address, int length)
    {
        DeviceBus bus = new();
        Probe probe = new(1);
        bus.Add(0x1000, 8, probe);
        byte[] data = new byte[length];
        bus.Read(address, data);
        bus.Write(address, data);
        Assert.All(data, each => Assert.Equal(0xff, each));
        Assert.Equal((1, 1), (bus.StrayReads, bus.StrayWrites));
        Assert.Empty(probe.Accesses);
    }

    [Theory]
    [InlineData(0x1000ul, 8ul)]
    [InlineData(0x1007ul, 1ul)]
    [InlineData(0xffful, 2ul)]
    [InlineData(0xf00ul, 0x200ul)]
    [InlineData(0x2000ul, 0ul)]
    [InlineData(ulong.MaxValue, 2ul)]
    public void Refuses_places_that_are_taken_or_none(ulong start, ulong length)
    {
        DeviceBus bus = new();
        bus.Add(0x1000, 8, new Probe(1));
        Assert.Throws<ArgumentException>(() => bus.Add(start, length, new Probe(2)));
    }
}
