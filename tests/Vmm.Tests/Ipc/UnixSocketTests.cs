using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

public class UnixSocketTests
{
    private readonly SocketSpace _space = new(Objects.Memory());

    private static long Send(UnixSocket socket, ReadOnlySpan<byte> data, PassedFiles? files = null) =>
        socket.Send(data, Objects.Sender, null, files);

    private static long Receive(UnixSocket socket, Span<byte> buffer, out ReceivedMessage message) =>
        socket.Receive(buffer, peek: false, out message);

    private PassedFiles Pass(params OpenFile[] files)
    {
        foreach (OpenFile file in files)
            Assert.True(file.TryAcquire());
        Assert.True(_space.InFlight.TryAdd(files.Length));
        return new PassedFiles(files, _space.InFlight);
    }

    [Fact]
    public void A_stream_joins_and_splits_bytes()
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, SOCK_STREAM);
        byte[] buffer = new byte[10];
        Assert.Equal(-EAGAIN, b.Read(buffer));
        Assert.Equal(3, a.Write([1, 2, 3]));
        Assert.Equal(2, a.Write([4, 5]));
        Assert.Equal(4, b.Read(buffer.AsSpan(0, 4)));
        Assert.Equal([1, 2, 3, 4], buffer[..4]);
        Assert.Equal(1, b.Read(buffer));
        Assert.Equal(5, b.Write([1, 2, 3, 4, 5]));
        Assert.Equal(5, a.Available);
    }

    [Fact]
    public void A_socket_that_two_threads_connect_at_once_is_known_to_its_last_target_only()
    {
        (UnixSocket sender, UnixSocket a) = Objects.Pair(_space, SOCK_DGRAM);
        (UnixSocket b, _) = Objects.Pair(_space, SOCK_DGRAM);
        a.ConnectDatagrams(null);
        b.ConnectDatagrams(null);
        Thread[] threads = [.. new[] { a, b }.Select(target => new Thread(() =>
        {
            for (int i = 0; i < 50_000; i++)
                sender.ConnectDatagrams(target);
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        Assert.True(a.Knows(sender) ^ b.Knows(sender));
        sender.Release();
        Assert.False(a.Knows(sender) || b.Knows(sender));
    }

    [Theory]
    [InlineData(SOCK_DGRAM)]
    [InlineData(SOCK_SEQPACKET)]
    public void Messages_stay_whole_and_excess_is_cut(int type)
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, type);
        Assert.Equal(3, a.Write([1, 2, 3]));
        Assert.Equal(0, a.Write([]));
        Assert.Equal(2, a.Write([4, 5]));
        byte[] buffer = new byte[10];
        Assert.Equal(2, Receive(b, buffer.AsSpan(0, 2), out ReceivedMessage message));
        Assert.True(message.IsTruncated);
        Assert.Equal(3, message.FullLength);
        Assert.Equal(0, Receive(b, buffer, out message));
        Assert.False(message.IsTruncated);
        Assert.Equal(2, Receive(b, buffer, out _));
        Assert.Equal(-EAGAIN, Receive(b, buffer, out _));
    }

    [Fact]
    public void A_peek_takes_nothing()
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, SOCK_STREAM);
        a.Write([1, 2, 3]);
        byte[] buffer = new byte[10];
        Assert.Equal(3, b.Receive(buffer, peek: true, out _));
        Assert.Equal(3, b.Receive(buffer, peek: false, out _));
        Assert.Equal(-EAGAIN, b.Receive(buffer, peek: true, out _));
    }

    [Fact]
    public void The_end_of_a_connection()
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, SOCK_STREAM);
        a.Write([1]);
        a.Release();
        byte[] buffer = new byte[4];
        Assert.Equal(PollEvents.HangUp, b.Poll() & PollEvents.HangUp);
        Assert.Equal(1, b.Read(buffer));
        Assert.Equal(0, b.Read(buffer));
        Assert.Equal(-EPIPE, b.Write([1]));
        b.Release();
        Assert.Equal(0, _space.Memory.Used);
    }

    [Fact]
    public void Unread_bytes_reset_the_connection()
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, SOCK_STREAM);
        b.Write([1]);
        a.Release();
        Assert.Equal(PollEvents.Error, b.Poll() & PollEvents.Error);
        Assert.Equal(-ECONNRESET, b.Read(new byte[1]));
        Assert.Equal(0, b.Read(new byte[1]));
    }

    [Fact]
    public void Shutdown_closes_one_direction()
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, SOCK_STREAM);
        Assert.Equal(0, a.Shutdown(SHUT_WR));
        Assert.Equal(-EPIPE, a.Write([1]));
        Assert.Equal(0, b.Read(new byte[1]));
        Assert.Equal(PollEvents.ReadHangUp, b.Poll() & (PollEvents.ReadHangUp | PollEvents.HangUp));
        Assert.Equal(1, b.Write([1]));
        Assert.Equal(1, a.Read(new byte[1]));
    }

    [Fact]
    public void Shutdown_ends_accepting()
    {
        UnixSocket listener = Objects.Socket(_space, SOCK_STREAM), client = Objects.Socket(_space, SOCK_STREAM);
        Assert.Equal(0, listener.SetAddress(_space.BindAutomatically(listener)!));
        Assert.Equal(0, listener.Listen(5, Objects.Sender));
        CountingEntry entry = new();
        listener.Waiters!.Add(entry);
        Assert.Equal(0, client.TryConnect(listener, Objects.Sender, Objects.Inode()));
        int told = entry.Count;
        Assert.Equal(0, listener.Shutdown(SHUT_RD));
        Assert.Equal(told + 1, entry.Count);
        // Who was there before is accepted still.
        Assert.Equal(0, listener.TryAccept(out _));
        Assert.Equal(-EINVAL, listener.TryAccept(out _));
        Assert.Equal(PollEvents.Readable | PollEvents.ReadHangUp, listener.Poll());
        UnixSocket late = Objects.Socket(_space, SOCK_STREAM);
        Assert.Equal(-ECONNREFUSED, late.TryConnect(listener, Objects.Sender, Objects.Inode()));
        Assert.Equal(0, late.Shutdown(SHUT_RDWR));
        listener.Waiters.Remove(entry);
    }

    [Theory]
    [InlineData(SOCK_STREAM)]
    [InlineData(SOCK_DGRAM)]
    [InlineData(SOCK_SEQPACKET)]
    public void A_queue_is_bounded_and_room_is_announced(int type)
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, type);
        CountingEntry entry = new();
        long total = 0, sent;
        while ((sent = a.Write(new byte[5000])) > 0)
            total += sent;
        Assert.Equal(-EAGAIN, sent);
        Assert.InRange(total, 150_000, a.SendBuffer);
        Assert.Equal(PollEvents.None, a.Poll() & PollEvents.Out);
        a.Waiters!.Add(entry);
        byte[] buffer = new byte[10000];
        for (int i = 0; i < 30; i++)
            b.Read(buffer);
        Assert.True(entry.Count > 0);
        Assert.Equal(PollEvents.Out, a.Poll() & PollEvents.Out);
        a.Waiters!.Remove(entry);
    }

    [Fact]
    public void Tiny_messages_are_bounded_by_number()
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, SOCK_DGRAM);
        int count = 0;
        while (a.Write([1]) == 1)
            count++;
        Assert.InRange(count, 16, 1024);
        b.Release();
        a.Release();
        Assert.Equal(0, _space.Memory.Used);
    }

    [Fact]
    public void Messages_above_the_buffer_are_refused()
    {
        (UnixSocket a, _) = Objects.Pair(_space, SOCK_DGRAM);
        Assert.Equal(-EMSGSIZE, a.Write(new byte[a.SendBuffer]));
    }

    [Fact]
    public void Connecting_and_accepting()
    {
        UnixSocket listener = Objects.Socket(_space, SOCK_STREAM);
        UnixSocket client = Objects.Socket(_space, SOCK_STREAM);
        Assert.Equal(-EINVAL, listener.Listen(1, Objects.Sender));
        Assert.Equal(-ECONNREFUSED, client.TryConnect(listener, Objects.Sender, Objects.Inode()));
        SocketAddress name = _space.BindAutomatically(listener)!;
        Assert.Equal(0, listener.SetAddress(name));
        Assert.Equal(0, listener.Listen(1, Objects.Sender));
        Assert.Equal(-EAGAIN, listener.TryAccept(out _));
        Assert.Equal(0, client.TryConnect(listener, Objects.Sender, Objects.Inode()));
        Assert.Equal(-EISCONN, client.TryConnect(listener, Objects.Sender, Objects.Inode()));
        Assert.Equal(PollEvents.Readable, listener.Poll());

        Assert.Equal(4, client.Write([1, 2, 3, 4]));
        Assert.Equal(0, listener.TryAccept(out UnixSocket? server));
        Assert.Equal(4, server!.Read(new byte[10]));
        Assert.Equal(name, client.PeerAddress);
        Assert.True(server.PeerAddress!.IsUnnamed);
        Assert.Equal(42, client.PeerCredentials.pid);
        server.Release();
        Assert.Equal(0, client.Read(new byte[1]));
    }

    [Fact]
    public void The_backlog_is_bounded_and_its_end_resets()
    {
        UnixSocket listener = Objects.Socket(_space, SOCK_SEQPACKET);
        listener.SetAddress(_space.BindAutomatically(listener)!);
        listener.Listen(2, Objects.Sender);
        List<UnixSocket> clients = [];
        long result;
        do
        {
            UnixSocket client = Objects.Socket(_space, SOCK_SEQPACKET);
            clients.Add(client);
            result = client.TryConnect(listener, Objects.Sender, Objects.Inode());
        }
        while (result == 0);
        Assert.Equal(-EAGAIN, result);
        Assert.Equal(4, clients.Count);
        listener.Release();
        Assert.Equal(-ECONNRESET, clients[0].Read(new byte[1]));
        foreach (UnixSocket client in clients)
            client.Release();
        Assert.Equal(0, _space.Memory.Used);
    }

    [Fact]
    public void Datagrams_go_to_names_and_tell_theirs()
    {
        UnixSocket server = Objects.Socket(_space, SOCK_DGRAM), client = Objects.Socket(_space, SOCK_DGRAM);
        SocketAddress name = SocketAddress.TryParse([1, 0, 0, (byte)'x'])!;
        Assert.True(_space.TryBind(name, server));
        Assert.False(_space.TryBind(name, client));
        Assert.Equal(0, server.SetAddress(name));
        client.SetAddress(_space.BindAutomatically(client)!);
        Assert.Equal(-ENOTCONN, client.Write([1]));
        Assert.Equal(2, client.Send([1, 2], Objects.Sender, server, null));
        Assert.Equal(2, Receive(server, new byte[9], out ReceivedMessage message));
        Assert.Equal(client.LocalAddress, message.From);
        Assert.Equal(42, message.Sender.pid);
        server.Release();
        Assert.Null(_space.Find(name));
        Assert.Equal(-ECONNREFUSED, client.Send([1], Objects.Sender, server, null));
    }

    [Fact]
    public void A_connected_datagram_socket_hears_its_peer_only()
    {
        UnixSocket a = Objects.Socket(_space, SOCK_DGRAM), b = Objects.Socket(_space, SOCK_DGRAM);
        UnixSocket stranger = Objects.Socket(_space, SOCK_DGRAM);
        Assert.Equal(0, a.ConnectDatagrams(b));
        Assert.Equal(0, b.ConnectDatagrams(a));
        Assert.Equal(-EPERM, stranger.Send([1], Objects.Sender, a, null));
        Assert.Equal(-EPERM, stranger.ConnectDatagrams(a));
        Assert.Equal(0, a.ConnectDatagrams(null));
        Assert.Equal(1, stranger.Send([1], Objects.Sender, a, null));
    }

    [Fact]
    public void Descriptors_arrive_with_their_bytes()
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, SOCK_STREAM);
        EventFile file = Objects.Event(_space.Memory);
        Send(a, [1, 2]);
        Assert.Equal(2, Send(a, [3, 4], Pass(file)));
        Send(a, [5]);
        byte[] buffer = new byte[10];
        // The read ends behind the bytes that the descriptors came with.
        Assert.Equal(4, Receive(b, buffer, out ReceivedMessage message));
        Assert.Same(file, Assert.Single(message.Files!.Files.ToArray()));
        message.Files.Release();
        Assert.Equal(1, Receive(b, buffer, out message));
        Assert.Null(message.Files);
        Assert.Equal(0, _space.InFlight.Count);
    }

    [Fact]
    public void Descriptors_that_nobody_receives_are_closed()
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, SOCK_STREAM);
        EventFile file = Objects.Event(_space.Memory);
        Send(a, [1], Pass(file));
        file.Release();
        a.Release();
        b.Release();
        Assert.Equal(0, _space.InFlight.Count);
        Assert.Equal(0, _space.Memory.Used);
    }

    [Fact]
    public void Sockets_inside_sockets_close_without_deep_recursion()
    {
        SocketSpace space = new(Objects.Memory(64 << 20));
        OpenFile? inner = null;
        List<UnixSocket> keep = [];
        for (int depth = 0; depth < 4000; depth++)
        {
            (UnixSocket a, UnixSocket b) = Objects.Pair(space, SOCK_STREAM);
            if (inner is not null)
            {
                Assert.True(space.InFlight.TryAdd(1));
                Assert.Equal(1, a.Send([1], Objects.Sender, null, new PassedFiles([inner], space.InFlight)));
            }
            keep.Add(a);
            inner = b;
        }
        foreach (UnixSocket a in keep)
            a.Release();
        Exception? failure = null;
        Thread small = new(() => failure = Record.Exception(inner!.Release), 128 * 1024);
        small.Start();
        small.Join();
        Assert.Null(failure);
        Assert.Equal(0, space.InFlight.Count);
        Assert.Equal(0, space.Memory.Used);
    }

    [Fact]
    public void Descriptors_in_flight_are_bounded()
    {
        FilesInFlight inFlight = new(10);
        Assert.True(inFlight.TryAdd(10));
        Assert.False(inFlight.TryAdd(1));
        inFlight.Remove(1);
        Assert.True(inFlight.TryAdd(1));
    }

    [Fact]
    public void A_guest_that_fills_sockets_without_end_meets_the_budget()
    {
        SocketSpace space = new(Objects.Memory(2 << 20));
        List<UnixSocket> sockets = [];
        while (space.Memory.TryReserve(2 * KernelMemory.ObjectCost))
        {
            UnixSocket a = new(space, Objects.Inode(), SOCK_STREAM, false);
            UnixSocket b = new(space, Objects.Inode(), SOCK_STREAM, false);
            UnixSocket.Pair(a, b, Objects.Sender);
            while (a.Write(new byte[30000]) > 0)
            {
            }
            sockets.Add(a);
            sockets.Add(b);
        }
        Assert.InRange(space.Memory.Used, 0, space.Memory.Limit);
        foreach (UnixSocket socket in sockets)
            socket.Release();
        Assert.Equal(0, space.Memory.Used);
    }

    [Theory]
    [InlineData(SOCK_STREAM)]
    [InlineData(SOCK_SEQPACKET)]
    public void Two_threads_lose_no_byte_and_no_wake_up(int type)
    {
        (UnixSocket a, UnixSocket b) = Objects.Pair(_space, type);
        const int Total = 2_000_000;
        Thread producer = new(() =>
        {
            Parker parker = new();
            ThreadWaitEntry entry = new(parker);
            a.Waiters!.Add(entry);
            Random random = new(3);
            int sent = 0;
            while (sent < Total)
            {
                byte[] piece = new byte[Math.Min(random.Next(1, 20000), Total - sent)];
                for (int i = 0; i < piece.Length; i++)
                    piece[i] = (byte)((sent + i) * 11);
                for (int done = 0; done < piece.Length;)
                {
                    long count = a.Write(piece.AsSpan(done));
                    if (count == -EAGAIN)
                        parker.Park(Parker.Forever);
                    else
                        done += (int)count;
                }
                sent += piece.Length;
            }
            a.Waiters!.Remove(entry);
            a.Release();
        });
        producer.Start();
        Parker parker = new();
        ThreadWaitEntry entry = new(parker);
        b.Waiters!.Add(entry);
        byte[] buffer = new byte[30000];
        int received = 0;
        long got;
        while ((got = b.Read(buffer)) != 0)
        {
            if (got == -EAGAIN)
            {
                Assert.True(parker.Park(HostClock.MonotonicNanoseconds() + 20_000_000_000), "a wake-up was lost");
                continue;
            }
            for (int i = 0; i < got; i++)
                Assert.Equal((byte)((received + i) * 11), buffer[i]);
            received += (int)got;
        }
        Assert.Equal(Total, received);
        producer.Join();
    }
}

public class SocketAddressTests
{
    [Theory]
    [InlineData(new byte[] { 1 })]
    [InlineData(new byte[] { 2, 0, 0, 0 })]
    public void Refuses_what_is_no_unix_address(byte[] bytes) => Assert.Null(SocketAddress.TryParse(bytes));

    [Fact]
    public void A_path_ends_at_its_nul_and_is_shown_with_it()
    {
        SocketAddress address = SocketAddress.TryParse([1, 0, (byte)'/', (byte)'a', 0, 9, 9])!;
        Assert.Equal("/a", address.ToString());
        byte[] bytes = new byte[SocketAddress.MaximumSize + 1];
        Assert.Equal(5, address.Format(bytes));
        Assert.Equal([1, 0, (byte)'/', (byte)'a', 0], bytes[..5]);
    }

    [Fact]
    public void An_abstract_name_is_all_of_its_bytes()
    {
        SocketAddress address = SocketAddress.TryParse([1, 0, 0, (byte)'a', 0])!;
        Assert.True(address.IsAbstract);
        Assert.Equal(5, address.Format(new byte[SocketAddress.MaximumSize + 1]));
        Assert.NotEqual(SocketAddress.TryParse([1, 0, 0, (byte)'a']), address);
    }

    [Fact]
    public void The_longest_path_has_room_for_its_nul()
    {
        byte[] bytes = new byte[SocketAddress.MaximumSize];
        bytes.AsSpan().Fill((byte)'x');
        bytes[0] = 1;
        bytes[1] = 0;
        SocketAddress address = SocketAddress.TryParse(bytes)!;
        Assert.Equal(SocketAddress.MaximumSize + 1, address.Format(new byte[SocketAddress.MaximumSize + 1]));
        Assert.Null(SocketAddress.TryParse(new byte[SocketAddress.MaximumSize + 1]));
    }

    /// <summary>Each sends to the next, and is closed: but for the first, nobody is left to keep them.</summary>
    [Fact]
    public void Closed_datagram_sockets_do_not_keep_each_other()
    {
        SocketSpace space = new(Objects.Memory());
        UnixSocket first = Objects.Socket(space, SOCK_DGRAM);
        WeakReference third = Chain(space, first);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        Assert.False(third.IsAlive);
        Assert.Equal(-ECONNREFUSED, first.Send("x"u8, Objects.Sender, null, null));
        GC.KeepAlive(first);
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static WeakReference Chain(SocketSpace space, UnixSocket first)
    {
        UnixSocket second = Objects.Socket(space, SOCK_DGRAM), third = Objects.Socket(space, SOCK_DGRAM);
        Assert.Equal(0, first.ConnectDatagrams(second));
        Assert.Equal(0, second.ConnectDatagrams(third));
        second.Release();
        third.Release();
        return new WeakReference(third);
    }
}
