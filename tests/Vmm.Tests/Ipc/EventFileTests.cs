using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

public class EventFileTests
{
    private static long Write(EventFile file, ulong value) => file.Write(BitConverter.GetBytes(value));

    private static (long Result, ulong Value) Read(EventFile file)
    {
        byte[] buffer = new byte[8];
        long result = file.Read(buffer);
        return (result, BitConverter.ToUInt64(buffer));
    }

    [Fact]
    public void A_read_takes_the_sum()
    {
        EventFile file = Objects.Event(Objects.Memory(), 3);
        Assert.Equal(8, Write(file, 4));
        Assert.Equal((8, 7UL), Read(file));
        Assert.Equal(-EAGAIN, Read(file).Result);
    }

    [Fact]
    public void A_semaphore_gives_one_at_a_time()
    {
        EventFile file = Objects.Event(Objects.Memory(), 2, EFD_SEMAPHORE);
        Assert.Equal((8, 1UL), Read(file));
        Assert.Equal((8, 1UL), Read(file));
        Assert.Equal(-EAGAIN, Read(file).Result);
    }

    [Fact]
    public void The_counter_never_overflows()
    {
        EventFile file = Objects.Event(Objects.Memory());
        Assert.Equal(-EINVAL, Write(file, ulong.MaxValue));
        Assert.Equal(8, Write(file, ulong.MaxValue - 1));
        Assert.Equal(-EAGAIN, Write(file, 1));
        Assert.Equal(8, Write(file, 0));
        Assert.Equal(PollEvents.Readable, file.Poll());
        Assert.Equal((8, ulong.MaxValue - 1), Read(file));
        Assert.Equal(PollEvents.Writable, file.Poll());
    }

    [Fact]
    public void Buffers_below_eight_bytes_are_refused()
    {
        EventFile file = Objects.Event(Objects.Memory(), 1);
        Assert.Equal(-EINVAL, file.Read(new byte[7]));
        Assert.Equal(-EINVAL, file.Write(new byte[7]));
    }
}
