using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// The guest's own name server: sockets on an address of the guest's own network, which a thread of the VMM serves.
/// It knows nothing; it reads queries, asks the supervisor for names, and writes answers.
/// </summary>
sealed class NameServer
{
    /// <summary>Connections at the same time; another one is closed at once.</summary>
    private const int MaximumConnections = 16;

    /// <summary>
    /// Queries that wait until one of the <see cref="NetworkChannel.MaximumLookups"/> at a time is done; another one
    /// fails.
    /// </summary>
    private const int MaximumWaiting = 256;

    /// <summary>How long one waits: resolvers ask again after that (RES_TIMEOUT).</summary>
    private const long MaximumWait = 5 * HostClock.NanosecondsPerSecond;

    private const ushort Port = 53;

    private readonly InternetStack _stack;
    private readonly Parker _parker = new();
    private readonly ConcurrentQueue<Pending> _done = new();
    private readonly Queue<Pending> _waiting = new();
    private readonly List<DnsConnection> _connections = [];

    /// <summary>Queries that the supervisor has been asked about, and has not answered.</summary>
    private int _asked;

    private InternetSocket? _datagrams;
    private InternetSocket? _listener;

    /// <summary>One query that the supervisor is asked about: who wants the answer, by datagram or on a connection.</summary>
    private sealed record Pending(DnsLookup Lookup, InternetAddress Client, DnsConnection? Connection)
    {
        public BrokerCall? Call { get; set; }

        public long GivenUpAt { get; } = HostClock.MonotonicNanoseconds() + MaximumWait;
    }

    public NameServer(InternetStack stack) => _stack = stack;

    /// <summary>Takes the address, and starts to serve.</summary>
    /// <param name="inode">Makes what the sockets look like.</param>
    /// <exception cref="InvalidOperationException">The guest's budget has no room for the two sockets.</exception>
    public void Start(Func<AnonymousInode> inode)
    {
        Span<byte> address = stackalloc byte[4];
        IPAddress.Parse(GuestNetwork.NameServerAddress).TryWriteBytes(address, out _);
        InternetAddress own = InternetAddress.Four(BinaryPrimitives.ReadUInt32BigEndian(address), Port);
        _datagrams = _stack.TryCreate(AF_INET, SOCK_DGRAM, nonBlocking: true, inode());
        _listener = _stack.TryCreate(AF_INET, SOCK_STREAM, nonBlocking: true, inode());
        if (_datagrams?.Serve(own) != 0 || _listener?.Serve(own) != 0)
            throw new InvalidOperationException("no room for the name server");
        _datagrams.Queue.Add(new ThreadWaitEntry(_parker));
        _listener.Queue.Add(new ThreadWaitEntry(_parker));
        ThreadFilter.Start("name server", ThreadRole.Guest, 128 << 10, () => Run(inode));
    }

    private void Run(Func<AnonymousInode> inode)
    {
        byte[] buffer = new byte[DnsAnswer.MaximumSize];
        byte[] answer = new byte[DnsAnswer.MaximumSize];
        long cpu = HostClock.ThreadCpuNanoseconds();
        while (true)
        {
            bool any = ServeDatagram(buffer, answer) | AcceptConnection(inode()) | ServeConnections(buffer, answer)
                | FinishOne(answer) | ServeWaiting(answer);
            // The guest's, as if it had done this itself: nobody else asks.
            long now = HostClock.ThreadCpuNanoseconds();
            _stack.ChargeCpu(now - cpu + Errands.TakeCost());
            cpu = now;
            if (!any)
                _parker.Park(_waiting.TryPeek(out Pending? first) ? first.GivenUpAt : Parker.Forever);
        }
    }

    private bool ServeDatagram(Span<byte> buffer, Span<byte> answer)
    {
        long count = _datagrams!.Receive(buffer, 0, out ReceivedMessage message);
        if (count < 0)
            return false;
        // What is longer than the buffer is no query.
        ReadOnlySpan<byte> query = message.IsTruncated ? default : buffer[..(int)count];
        DnsLookup? lookup = DnsLookup.Begin(query, answer, out int length);
        if (lookup is not null)
            Ask(new Pending(lookup, message.Source, null), answer);
        else if (length > 0)
            Reply(message.Source, answer[..length]);
        return true;
    }

    private bool AcceptConnection(AnonymousInode inode)
    {
        if (_listener!.TryAccept(inode, out InternetSocket? socket) != 0)
            return false;
        if (_connections.Count >= MaximumConnections)
        {
            socket!.Release();
            return true;
        }
        socket!.Queue.Add(new ThreadWaitEntry(_parker));
        _connections.Add(new DnsConnection(socket));
        return true;
    }

    private bool ServeConnections(Span<byte> buffer, Span<byte> answer)
    {
        bool any = false;
        for (int i = _connections.Count - 1; i >= 0; i--)
        {
            DnsConnection connection = _connections[i];
            if (!connection.TryRead(buffer, out int length))
                continue;
            any = true;
            if (connection.IsClosed)
            {
                _connections.RemoveAt(i);
                continue;
            }
            if (length == 0)
                continue;
            DnsLookup? lookup = DnsLookup.Begin(buffer[..length], answer, out int written);
            if (lookup is not null)
                Ask(new Pending(lookup, default, connection), answer);
            else if (written > 0)
                connection.Write(answer[..written]);
        }
        return any;
    }

    private void Ask(Pending pending, Span<byte> answer)
    {
        if (_waiting.Count == 0 && TryAsk(pending))
            return;
        // One that is answered lets the next one go; where none is asked, nobody will be.
        if (_asked > 0 && _waiting.Count < MaximumWaiting)
            _waiting.Enqueue(pending);
        else
            Deliver(pending, EAGAIN, default, answer);
    }

    /// <summary>Asks about the first that waits, if it may be asked about now, or gives it up.</summary>
    private bool ServeWaiting(Span<byte> answer)
    {
        if (!_waiting.TryPeek(out Pending? pending))
            return false;
        bool isAsked = TryAsk(pending);
        if (!isAsked && _asked > 0 && HostClock.MonotonicNanoseconds() < pending.GivenUpAt)
            return false;
        _waiting.Dequeue();
        if (!isAsked)
            Deliver(pending, EAGAIN, default, answer);
        return true;
    }

    private bool TryAsk(Pending pending)
    {
        if (_asked >= NetworkChannel.MaximumLookups)
            return false;
        BrokerCall? call = _stack.Broker.TryBegin(pending.Lookup.Request(), null, done =>
        {
            pending.Call = done;
            _done.Enqueue(pending);
            _parker.Unpark();
        });
        if (call is null)
            return false;
        _asked++;
        return true;
    }

    private bool FinishOne(Span<byte> answer)
    {
        if (!_done.TryDequeue(out Pending? pending))
            return false;
        _asked--;
        ref readonly NetworkAnswer said = ref pending.Call!.Answer;
        int count = (int)Math.Min(said.AddressCount, NetworkChannel.MaximumAddresses);
        Deliver(pending, said.Error, ((ReadOnlySpan<byte>)said.Addresses)[..(16 * count)], answer);
        return true;
    }

    private void Deliver(Pending pending, int error, ReadOnlySpan<byte> addresses, Span<byte> answer)
    {
        int room = pending.Connection is null ? DnsAnswer.DatagramSize : DnsAnswer.MaximumSize;
        int length = pending.Lookup.Finish(error, addresses, answer, room);
        if (pending.Connection is null)
            Reply(pending.Client, answer[..length]);
        else if (!pending.Connection.IsClosed)
            pending.Connection.Write(answer[..length]);
    }

    /// <summary>Sends a datagram to whoever has the address now; if nobody has room for it, it is lost.</summary>
    private void Reply(InternetAddress client, ReadOnlySpan<byte> answer)
    {
        if (_stack.Ports.Find(SOCK_DGRAM, client) is not { } socket)
            return;
        _datagrams!.Send(answer, 0, default, socket, null);
        socket.Release();
    }
}
