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
        Queue<byte> model = new();
        byte[] buffer = new byte[9000];
        for (int step = 0; step < 5000; step++)
        {
            int length = random.Next(buffer.Length);
            if (random.Next(2) == 0)
            {
                random.NextBytes(buffer.AsSpan(0, length));
                int written = ring.Write(buffer.AsSpan(0, length));
                Assert.Equal(Math.Min(length, 65536 - model.Count), written);
                foreach (byte value in buffer.AsSpan(0, written))
                    model.Enqueue(value);
            }
            else
            {
                int read = ring.Read(buffer.AsSpan(0, length));
                Assert.Equal(Math.Min(length, model.Count), read);
                foreach (byte value in buffer.AsSpan(0, read))
                    Assert.Equal(model.Dequeue(), value);
            }
            Assert.Equal(model.Count, ring.Count);
        }
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
    public void Without_budget_the_capacity_is_what_it_has()
    {
        KernelMemory memory = Objects.Memory(10000);
        ByteRing ring = ByteRing.TryCreate(memory, 65536)!;
        Assert.Equal(8192, ring.Write(new byte[8192]));
        Assert.Equal(0, ring.Write(new byte[100]));
        Assert.Equal(8192, ring.Capacity);
        Assert.Equal(0, ring.Room);
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
