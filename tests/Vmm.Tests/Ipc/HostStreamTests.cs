using Sandbox.Host;
using Sandbox.Vmm.Personality.Terminals;
using Sandbox.Vmm.Personality.Waiting;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

public sealed unsafe class HostStreamTests : IDisposable
{
    private readonly HostPoller _poller = new();

    public void Dispose() => _poller.Dispose();

    private HostStream Open(FileDescriptor file, OutputLimit? limit = null) =>
        new(file, Objects.Inode(), _poller, limit);

    private static (FileDescriptor Reader, FileDescriptor Writer) HostPipe()
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, pipe2(ends, O_CLOEXEC));
        return (new FileDescriptor(ends[0]), new FileDescriptor(ends[1]));
    }

    private static (FileDescriptor A, FileDescriptor B) HostSocketPair()
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
        return (new FileDescriptor(ends[0]), new FileDescriptor(ends[1]));
    }

    /// <summary>Waits as the system call layer does.</summary>
    private static long ReadWaiting(HostStream stream, byte[] buffer)
    {
        Parker parker = new();
        ThreadWaitEntry entry = new(parker);
        stream.Waiters!.Add(entry);
        long result;
        while ((result = stream.Read(buffer)) == -EAGAIN)
            Assert.True(parker.Park(HostClock.MonotonicNanoseconds() + 20_000_000_000), "a wake-up was lost");
        stream.Waiters!.Remove(entry);
        return result;
    }

    private static long WriteWaiting(HostStream stream, ReadOnlySpan<byte> buffer)
    {
        Parker parker = new();
        ThreadWaitEntry entry = new(parker);
        stream.Waiters!.Add(entry);
        long result;
        while ((result = stream.Write(buffer)) == -EAGAIN)
            Assert.True(parker.Park(HostClock.MonotonicNanoseconds() + 20_000_000_000), "a wake-up was lost");
        stream.Waiters!.Remove(entry);
        return result;
    }

    [Fact]
    public void A_pipe_never_blocks_and_keeps_its_flags()
    {
        (FileDescriptor reader, FileDescriptor writer) = HostPipe();
        HostStream input = Open(reader), output = Open(writer);
        byte[] buffer = new byte[100];
        Assert.Equal(-EAGAIN, input.Read(buffer));
        Assert.Equal(PollEvents.None, input.Poll() & PollEvents.In);
        long total = 0, count;
        while ((count = output.Write(new byte[10000])) > 0)
            total += count;
        Assert.Equal(-EAGAIN, count);
        Assert.InRange(total, 4096, 1 << 20);
        Assert.Equal(0, fcntl(reader.Value, F_GETFL, 0) & O_NONBLOCK);
        Assert.Equal(0, fcntl(writer.Value, F_GETFL, 0) & O_NONBLOCK);
        Assert.Equal(PollEvents.In, input.Poll() & PollEvents.In);
        Assert.StartsWith("pipe:[", input.DisplayName);
        input.GetStatus(out stat status);
        Assert.Equal(S_IFIFO, (int)(status.st_mode & S_IFMT));
    }

    [Fact]
    public void A_reader_that_waits_hears_of_data_and_of_the_end()
    {
        (FileDescriptor reader, FileDescriptor writer) = HostPipe();
        HostStream input = Open(reader);
        byte[] buffer = new byte[100];
        PendingCall read = PendingCall.Start(() => ReadWaiting(input, buffer));
        Assert.True(read.IsWaiting(50));
        writer.Write([1, 2, 3]);
        Assert.Equal(3, read.Result());
        read = PendingCall.Start(() => ReadWaiting(input, buffer));
        Assert.True(read.IsWaiting(50));
        writer.Dispose();
        Assert.Equal(0, read.Result());
    }

    [Fact]
    public void Without_a_reader_writes_break()
    {
        (FileDescriptor reader, FileDescriptor writer) = HostPipe();
        HostStream output = Open(writer);
        reader.Dispose();
        Assert.Equal(-EPIPE, output.Write([1]));
    }

    [Fact]
    public void A_socket_works_like_a_pipe()
    {
        (FileDescriptor a, FileDescriptor b) = HostSocketPair();
        HostStream stream = Open(a);
        Assert.Equal(-EAGAIN, stream.Read(new byte[1]));
        b.Write([1, 2]);
        Assert.Equal(2, ReadWaiting(stream, new byte[10]));
        Assert.Equal(3, stream.Write([1, 2, 3]));
        b.Dispose();
        // The first answer may be the reset that the unread bytes cause.
        long result = stream.Write([1]);
        Assert.True(result is -EPIPE or -ECONNRESET);
        Assert.StartsWith("socket:[", stream.DisplayName);
    }

    [Fact]
    public void A_terminal_without_the_flag_to_be_its_terminal_is_just_a_stream()
    {
        // Terminals know no RWF_NOWAIT: this is also how pipes are served on kernels before 6.4.
        using FileDescriptor master = FileDescriptor.Open("/dev/ptmx", O_RDWR | O_NOCTTY);
        int number, locked = 0;
        Assert.Equal(0, master.Control(TIOCSPTLCK, &locked));
        Assert.Equal(0, master.Control(TIOCGPTN, &number));
        using FileDescriptor slave = FileDescriptor.Open($"/dev/pts/{number}", O_RDWR | O_NOCTTY);
        HostStream stream = Open(slave);
        byte[] buffer = new byte[100];
        Assert.Equal(-EAGAIN, stream.Read(buffer));
        PendingCall read = PendingCall.Start(() => ReadWaiting(stream, buffer));
        Assert.True(read.IsWaiting(50));
        master.Write("typed\n"u8);
        Assert.Equal(6, read.Result());
        Assert.Equal(7, (int)master.Read(buffer));
        Assert.Equal(5, stream.Write("shown"u8));
        Assert.Equal(5, (int)master.Read(buffer));
        long total = 0, count;
        // Byte by byte: a terminal that has room for less than a whole write takes what fits and waits with the rest.
        while ((count = stream.Write(new byte[1])) > 0)
            total += count;
        Assert.Equal(-EAGAIN, count);
        Assert.InRange(total, 1000, 1 << 20);
        Assert.Equal(-ENOTTY, stream.Ioctl(null!, TCGETS, 0));
        Assert.Equal(0, fcntl(slave.Value, F_GETFL, 0) & O_NONBLOCK);
    }

    [Fact]
    public void Reading_and_writing_are_waited_for_independently()
    {
        (FileDescriptor a, FileDescriptor b) = HostSocketPair();
        HostStream stream = Open(a);
        while (stream.Write(new byte[10_000]) > 0)
        {
        }
        Parker reader = new(), writer = new();
        ThreadWaitEntry readers = new(reader) { Interest = PollEvents.Readable };
        ThreadWaitEntry writers = new(writer) { Interest = PollEvents.Writable };
        stream.Waiters!.Add(readers);
        stream.Waiters!.Add(writers);
        Assert.Equal(-EAGAIN, stream.Write([1]));
        Assert.Equal(-EAGAIN, stream.Read(new byte[1]));
        b.Write([1]);
        long deadline = HostClock.MonotonicNanoseconds() + 20_000_000_000;
        Assert.True(reader.Park(deadline));
        // The writer asked once, before; the reader's event must not have ended its wait.
        byte[] buffer = new byte[100_000];
        while (recvAll(b, buffer) > 0)
        {
        }
        Assert.True(writer.Park(deadline), "a wake-up was lost");
        stream.Waiters!.Remove(readers);
        stream.Waiters!.Remove(writers);

        static nint recvAll(FileDescriptor socket, byte[] buffer)
        {
            fixed (byte* data = buffer)
                return recv(socket.Value, data, (nuint)buffer.Length, MSG_DONTWAIT);
        }
    }

    [Fact]
    public void A_regular_file_is_read_and_written_at_the_shared_offset()
    {
        FileDescriptor file = FileDescriptor.CreateMemory("stream", 0);
        HostStream stream = Open(file);
        Assert.Null(stream.Waiters);
        Assert.Equal(5, stream.Write("hello"u8));
        // Somebody else who shares the offset goes on where the guest stopped.
        file.Write(" world"u8);
        Assert.Equal(0, stream.Seek(0, SEEK_SET));
        byte[] buffer = new byte[20];
        Assert.Equal(11, stream.Read(buffer));
        Assert.Equal("hello world"u8, buffer.AsSpan(0, 11));
        Assert.Equal(0, stream.Read(buffer));
        Assert.Equal(5, stream.ReadAt(buffer, 6));
        stream.GetStatus(out stat status);
        Assert.Equal(11, status.st_size);
    }

    [Fact]
    public void The_null_device_is_always_ready()
    {
        using FileDescriptor file = FileDescriptor.Open("/dev/null", O_RDWR);
        HostStream stream = Open(file);
        Assert.Equal(PollEvents.Readable | PollEvents.Writable, stream.Poll());
        Assert.Equal(0, stream.Read(new byte[10]));
        Assert.Equal(10, stream.Write(new byte[10]));
        Assert.Equal("/dev/null", stream.DisplayName);
        Assert.Equal(-ENOTTY, stream.Ioctl(null!, TCGETS, 0));
    }

    [Fact]
    public void The_output_limit_counts_what_was_written()
    {
        (FileDescriptor reader, FileDescriptor writer) = HostPipe();
        int exceeded = 0;
        OutputLimit limit = new(10_000, () => exceeded++);
        HostStream first = Open(writer, limit), second = Open(FileDescriptor.CreateMemory("stream", 0), limit);
        Assert.Equal(4000, first.Write(new byte[4000]));
        Assert.Equal(4000, second.Write(new byte[4000]));
        Assert.Equal(2000, first.Write(new byte[2000]));
        Assert.Equal(0, exceeded);
        Assert.Equal(-EPIPE, second.Write([1]));
        Assert.Equal(-EPIPE, second.Write([1]));
        Assert.Equal(1, exceeded);
        Assert.Equal(10_000, limit.Written);
        byte[] buffer = new byte[20_000];
        Assert.Equal(6000, (int)reader.Read(buffer));
    }

    [Fact]
    public void A_write_beyond_the_limit_delivers_what_fits()
    {
        int exceeded = 0;
        FileDescriptor file = FileDescriptor.CreateMemory("stream", 0);
        HostStream stream = Open(file, new OutputLimit(10, () => exceeded++));
        Assert.Equal(10, stream.Write(new byte[50]));
        Assert.Equal(1, exceeded);
        file.GetStatus(out stat status);
        Assert.Equal(10, status.st_size);
    }

    [Fact]
    public void What_the_host_did_not_take_is_not_counted()
    {
        (_, FileDescriptor writer) = HostPipe();
        OutputLimit limit = new(0, () => { });
        HostStream stream = Open(writer, limit);
        long total = 0, count;
        while ((count = stream.Write(new byte[7000])) > 0)
            total += count;
        Assert.Equal(total, limit.Written);
    }

    [Fact]
    public void Much_data_streams_through_without_being_held()
    {
        (FileDescriptor inReader, FileDescriptor inWriter) = HostPipe();
        (FileDescriptor outReader, FileDescriptor outWriter) = HostPipe();
        HostStream input = Open(inReader), output = Open(outWriter);
        const long Total = 64L << 20;
        Thread feeder = new(() =>
        {
            byte[] piece = Objects.Bytes(50_000);
            for (long sent = 0; sent < Total;)
                sent += inWriter.Write(piece.AsSpan(0, (int)Math.Min(piece.Length, Total - sent)));
            inWriter.Dispose();
        });
        long drained = 0;
        Thread drain = new(() =>
        {
            byte[] piece = new byte[60_000];
            nint count;
            while ((count = outReader.Read(piece)) > 0)
                drained += count;
        });
        feeder.Start();
        drain.Start();
        byte[] buffer = new byte[65536];
        long before = GC.GetTotalMemory(forceFullCollection: true);
        while (true)
        {
            long count = ReadWaiting(input, buffer);
            if (count == 0)
                break;
            for (long written = 0; written < count;)
                written += WriteWaiting(output, buffer.AsSpan((int)written, (int)(count - written)));
        }
        outWriter.Dispose();
        feeder.Join();
        drain.Join();
        Assert.Equal(Total, drained);
        // The heap is also that of tests beside this one.
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, Total / 2);
    }
}
