using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using Xunit;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>Short ways to make the objects under test.</summary>
static class Objects
{
    public static KernelMemory Memory(long limit = 8 << 20) => new(limit);

    public static AnonymousInode Inode(int references = 1) => new(7, 1, 1000, 1000, references);

    public static (PipeEnd Reader, PipeEnd Writer) Pipe(KernelMemory memory)
    {
        Pipe pipe = Personality.Ipc.Pipe.TryCreate(memory)!;
        AnonymousInode inode = Inode(2);
        return (new PipeEnd(pipe, Libc.O_RDONLY, inode), new PipeEnd(pipe, Libc.O_WRONLY, inode));
    }

    public static EventFile Event(KernelMemory memory, uint initial = 0, int flags = 0)
    {
        Assert.True(memory.TryReserve(KernelMemory.ObjectCost));
        return new EventFile(memory, Inode(), initial, flags);
    }

    public static EpollFile Epoll(KernelMemory memory, EpollNesting? nesting = null)
    {
        Assert.True(memory.TryReserve(KernelMemory.ObjectCost));
        return new EpollFile(memory, Inode(), nesting ?? new EpollNesting());
    }

    public static UnixSocket Socket(SocketSpace space, int type)
    {
        Assert.True(space.Memory.TryReserve(KernelMemory.ObjectCost));
        return new UnixSocket(space, Inode(), type, nonBlocking: false);
    }

    public static (UnixSocket A, UnixSocket B) Pair(SocketSpace space, int type)
    {
        UnixSocket a = Socket(space, type), b = Socket(space, type);
        UnixSocket.Pair(a, b, Sender);
        return (a, b);
    }

    public static ucred Sender { get; } = new() { pid = 42, uid = 1000, gid = 1000 };

    public static byte[] Bytes(int length, int seed = 0)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
            bytes[i] = (byte)(i * 31 + seed + (i >> 8));
        return bytes;
    }
}

/// <summary>Counts notifications.</summary>
sealed class CountingEntry : WaitEntry
{
    public int Count;

    public override void Notify(PollEvents events) => Interlocked.Increment(ref Count);
}
