using Sandbox.Vmm.Personality.Ipc;
using Xunit;

namespace Sandbox.Vmm.Tests.Ipc;

public class ByteRingTests
{
    [Fact]
    public void Keeps_order_across_every_wrap_and_growth()
    {
        ByteRing ring = ByteRing.TryCreate(Objects.Memory(), 65536)!;
        Random random = new(1);
        byte[] buffer = new byte[9000], expected = new byte[9000];
        int written = 0, read = 0;
        for (int step = 0; step < 20_000; step++)
        {
            int length = random.Next(buffer.Length);
            if (random.Next(2) == 0)
            {
                Fill(buffer.AsSpan(0, length), written);
                int count = ring.Write(buffer.AsSpan(0, length));
                Assert.Equal(Math.Min(length, 65536 - (written - read)), count);
                written += count;
            }
            else
            {
                int count = ring.Read(buffer.AsSpan(0, length));
                Assert.Equal(Math.Min(length, written - read), count);
                Fill(expected.AsSpan(0, count), read);
                Assert.True(buffer.AsSpan(0, count).SequenceEqual(expected.AsSpan(0, count)));
                read += count;
            }
            Assert.Equal(written - read, ring.Count);
        }
    }

    /// <summary>Bytes that tell where in the stream they belong.</summary>
    private static void Fill(Span<byte> bytes, int position)
    {
        for (int i = 0; i < bytes.Length; i++)
            bytes[i] = (byte)((position + i) * 31 + ((position + i) >> 8));
    }

    [Fact]
    public void Takes_memory_only_as_it_fills_and_gives_it_all_back()
    {
        KernelMemory memory = Objects.Memory();
        ByteRing ring = ByteRing.TryCreate(memory, 65536)!;
        Assert.Equal(4096, memory.Used);
        ring.Write(new byte[5000]);
        Assert.Equal(8192, memory.Used);
        ring.Write(new byte[60000]);
        Assert.Equal(65536, memory.Used);
        ring.Free();
        Assert.Equal(0, memory.Used);
    }

    [Fact]
    public void Without_budget_there_is_room_for_what_it_has()
    {
        KernelMemory memory = Objects.Memory(10000);
        ByteRing ring = ByteRing.TryCreate(memory, 65536)!;
        Assert.Equal(8192, ring.Write(new byte[8192]));
        Assert.Equal(0, ring.Write(new byte[100]));
        Assert.Equal(65536, ring.Capacity);
        Assert.Equal(0, ring.Room);
        ring.Discard(8192);
        Assert.Equal(65536, ring.Room);
        Assert.Equal(8192, ring.Grow(10_000));
        Assert.Equal(8192, ring.Room);
        Assert.Null(ByteRing.TryCreate(memory, 4096));
    }

    [Fact]
    public void Shrinking_keeps_what_is_in_it()
    {
        KernelMemory memory = Objects.Memory();
        ByteRing ring = ByteRing.TryCreate(memory, 65536)!;
        ring.Write(new byte[30000]);
        ring.Discard(26000);
        byte[] content = new byte[4000];
        Assert.False(ring.TrySetCapacity(1) && ring.Capacity < 4000);
        Assert.True(ring.TrySetCapacity(4096));
        Assert.Equal(4096, memory.Used);
        Assert.Equal(4000, ring.Read(content));
    }
}
