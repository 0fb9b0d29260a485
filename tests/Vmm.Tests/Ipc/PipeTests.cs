using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

public class PipeTests
{
    [Fact]
    public void An_empty_pipe_waits_and_a_closed_one_ends()
    {
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(Objects.Memory());
        byte[] buffer = new byte[8];
        Assert.Equal(-EAGAIN, reader.Read(buffer));
        Assert.Equal(0, reader.Read([]));
        Assert.Equal(3, writer.Write([1, 2, 3]));
        Assert.Equal(2, reader.Read(buffer.AsSpan(0, 2)));
        writer.Release();
        Assert.Equal(1, reader.Read(buffer));
        Assert.Equal(0, reader.Read(buffer));
    }

    [Fact]
    public void Without_a_reader_writes_break()
    {
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(Objects.Memory());
        reader.Release();
        Assert.Equal(-EPIPE, writer.Write([1]));
        Assert.Equal(PollEvents.Error, writer.Poll() & PollEvents.Error);
    }

    [Fact]
    public void Small_writes_are_whole_and_large_ones_take_what_fits()
    {
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(Objects.Memory());
        Assert.Equal(65000, writer.Write(new byte[65000]));
        Assert.Equal(-EAGAIN, writer.Write(new byte[4096]));
        Assert.Equal(536, writer.Write(new byte[5000]));
        Assert.Equal(-EAGAIN, writer.Write(new byte[5000]));
        Assert.Equal(65536, reader.Pipe.Count);
    }

    [Fact]
    public void Held_room_is_nobody_elses()
    {
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(Objects.Memory());
        Pipe pipe = reader.Pipe;
        Assert.Equal(60_000, pipe.HoldRoom(60_000));
        Assert.Equal(5000, pipe.HoldRoom(5000));
        Assert.Equal(0, pipe.HoldRoom(1));
        Assert.Equal(PollEvents.None, writer.Poll());
        Assert.Equal(-EAGAIN, writer.Write(new byte[537]));
        Assert.Equal(536, writer.Write(new byte[5000]));
        Assert.Equal(-EBUSY, pipe.SetCapacity(4096));
        pipe.WriteHeld(new byte[3], 5000);
        Assert.Equal(539, pipe.Count);
        Assert.Equal(PollEvents.Writable, writer.Poll());
        reader.Read(new byte[539]);
        pipe.WriteHeld(new byte[60_000], 60_000);
        Assert.Equal(60_000, pipe.Count);
    }

    [Fact]
    public void Small_writes_are_whole_when_memory_is_used_up()
    {
        KernelMemory memory = Objects.Memory();
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(memory);
        long rest = memory.Limit - memory.Used;
        Assert.True(memory.TryReserve(rest));
        Assert.Equal(4000, writer.Write(new byte[4000]));
        Assert.Equal(-EAGAIN, writer.Write(new byte[200]));
        Assert.Equal(0, reader.Pipe.HoldRoom(200));
        Assert.Equal(PollEvents.None, writer.Poll());
        Assert.Equal(96, writer.Write(new byte[96]));
        Assert.Equal(4096, reader.Read(new byte[5000]));
        // It is tried again, as often as it has been emptied.
        Assert.Equal(4096, writer.Write(new byte[65536]));
        Assert.Equal(4096, reader.Read(new byte[5000]));
        memory.Release(rest);
        Assert.Equal(65536, writer.Write(new byte[65536]));
        Assert.Equal(65536, reader.Pipe.Capacity);
    }

    [Fact]
    public void Polling_promises_only_what_a_write_can_keep()
    {
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(Objects.Memory());
        Assert.Equal(PollEvents.None, reader.Poll());
        Assert.Equal(PollEvents.Writable, writer.Poll());
        writer.Write(new byte[62000]);
        Assert.Equal(PollEvents.None, writer.Poll());
        Assert.Equal(PollEvents.Readable, reader.Poll());
        reader.Read(new byte[1000]);
        Assert.Equal(PollEvents.Writable, writer.Poll());
        writer.Release();
        Assert.Equal(PollEvents.Readable | PollEvents.HangUp, reader.Poll());
    }

    [Theory]
    [InlineData(1, 4096)]
    [InlineData(4097, 8192)]
    [InlineData(100_000, 131072)]
    [InlineData(1 << 20, 1 << 20)]
    [InlineData((1 << 20) + 1, -EPERM)]
    public void Capacity_is_a_power_of_two_of_pages(uint wanted, long result)
    {
        (PipeEnd reader, _) = Objects.Pipe(Objects.Memory());
        Assert.Equal(result, reader.Control(null!, F_SETPIPE_SZ, wanted));
    }

    [Fact]
    public void Capacity_cannot_shrink_below_what_waits()
    {
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(Objects.Memory());
        writer.Write(new byte[10000]);
        Assert.Equal(-EBUSY, reader.Pipe.SetCapacity(4096));
        Assert.Equal(16384, reader.Pipe.SetCapacity(16384));
        Assert.Equal(16384, reader.Control(null!, F_GETPIPE_SZ, 0));
    }

    [Fact]
    public void Everything_is_given_back_when_both_ends_close()
    {
        KernelMemory memory = Objects.Memory();
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(memory);
        writer.Write(new byte[40000]);
        reader.Release();
        writer.Release();
        Assert.Equal(0, memory.Used);
    }

    [Fact]
    public void A_guest_that_makes_pipes_without_end_meets_the_budget()
    {
        KernelMemory memory = Objects.Memory(1 << 20);
        List<PipeEnd> ends = [];
        while (Pipe.TryCreate(memory) is { } pipe)
        {
            AnonymousInode inode = Objects.Inode(2);
            PipeEnd reader = new(pipe, O_RDONLY, inode), writer = new(pipe, O_WRONLY, inode);
            // Each stays usable for an atomic write, whatever the others took.
            Assert.Equal(4096, writer.Write(new byte[4096]));
            writer.Write(new byte[60000]);
            ends.Add(reader);
            ends.Add(writer);
        }
        Assert.InRange(ends.Count, 2, 2 * 256);
        Assert.InRange(memory.Used, 0, memory.Limit);
        foreach (PipeEnd end in ends)
            end.Release();
        Assert.Equal(0, memory.Used);
    }

    [Fact]
    public void Two_threads_lose_no_byte_and_no_wake_up()
    {
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(Objects.Memory());
        const int Total = 4_000_000;
        Thread producer = new(() =>
        {
            Parker parker = new();
            ThreadWaitEntry entry = new(parker);
            Random random = new(2);
            int sent = 0;
            writer.Waiters!.Add(entry);
            while (sent < Total)
            {
                byte[] piece = Objects.Bytes(Math.Min(random.Next(1, 20000), Total - sent));
                for (int i = 0; i < piece.Length; i++)
                    piece[i] = (byte)((sent + i) * 7);
                for (int done = 0; done < piece.Length;)
                {
                    long count = writer.Write(piece.AsSpan(done));
                    if (count == -EAGAIN)
                        parker.Park(Parker.Forever);
                    else
                        done += (int)count;
                }
                sent += piece.Length;
            }
            writer.Waiters!.Remove(entry);
            writer.Release();
        });
        producer.Start();

        Parker parker = new();
        ThreadWaitEntry entry = new(parker);
        reader.Waiters!.Add(entry);
        byte[] buffer = new byte[7777];
        int received = 0;
        while (true)
        {
            long count = reader.Read(buffer);
            if (count == 0)
                break;
            if (count == -EAGAIN)
            {
                parker.Park(Parker.Forever);
                continue;
            }
            for (int i = 0; i < count; i++)
                Assert.Equal((byte)((received + i) * 7), buffer[i]);
            received += (int)count;
        }
        Assert.Equal(Total, received);
        producer.Join();
    }
}
