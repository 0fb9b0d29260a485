using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Vsock;

/// <summary>All connections of a guest, a bounded number, and who of them has something to tell.</summary>
sealed class VsockConnections(DeviceWorker worker)
{
    public const int Limit = 256;

    /// <summary>The host's ports of connections that it opens begin here, out of the way of services.</summary>
    private const uint FirstPort = 1 << 30;

    /// <summary>A client of the host has this long to name its port, and the guest to answer: 2 s.</summary>
    private const long Patience = 2 * HostClock.NanosecondsPerSecond;

    /// <summary>The host has this long to take what is left of a connection that the guest has ended and forgotten.</summary>
    private const long Linger = 60 * HostClock.NanosecondsPerSecond;

    /// <summary>What a connection's source says beside its slot: which of those that had it.</summary>
    private const int Generations = 1 << 22;

    /// <summary>Sources of connections are below this.</summary>
    public const int Sources = Limit * Generations;

    private readonly KernelMemory _memory = new((long)Limit * VsockStream.Room);
    private readonly VsockConnection?[] _slots = new VsockConnection?[Limit];
    private readonly Dictionary<(uint Host, uint Guest), VsockConnection> _byPorts = new(Limit);

    /// <summary>Slots whose turn comes, each once: who is closed leaves the place to the slot's next owner.</summary>
    private readonly Queue<int> _ready = new(Limit);
    private readonly bool[] _isReady = new bool[Limit];
    private readonly int[] _generations = new int[Limit];
    private uint _lastPort = FirstPort;

    public int Count { get; private set; }

    /// <summary>Slots whose turn it may be: some are empty, or have nothing to tell any more.</summary>
    public int Ready => _ready.Count;

    public VsockConnection? Find(uint hostPort, uint guestPort) => _byPorts.GetValueOrDefault((hostPort, guestPort));

    public VsockConnection? At(int slot) => _slots[slot];

    /// <summary>Null for one that is closed: its slot may be another's by now.</summary>
    public VsockConnection? OfSource(int source) =>
        _slots[source % Limit] is { } connection && connection.Source == source ? connection : null;

    /// <summary>
    /// A connection that the guest opens. Null when there are too many, or one has these ports; the file is closed then.
    /// </summary>
    public VsockConnection? AddFromGuest(FileDescriptor file, uint hostPort, uint guestPort)
    {
        if (Add(file, hostPort) is not { } connection)
            return null;
        if (!TryName(connection, guestPort))
        {
            Close(connection);
            return null;
        }
        connection.Stage = VsockStage.Open;
        return connection;
    }

    /// <summary>
    /// A connection that a client of the host opens, who says to which port. Null when there are too many; the file is
    /// closed then.
    /// </summary>
    public VsockConnection? AddFromHost(FileDescriptor file)
    {
        // More than two billion ports, and few connections: one is free soon.
        do
            _lastPort = _lastPort == uint.MaxValue - 1 ? FirstPort : _lastPort + 1;
        while (_slots.Any(other => other?.HostPort == _lastPort));
        return Add(file, _lastPort);
    }

    /// <summary>From now on the connection is found by its ports; false when they are another's.</summary>
    public bool TryName(VsockConnection connection, uint guestPort)
    {
        if (!_byPorts.TryAdd((connection.HostPort, guestPort), connection))
            return false;
        connection.GuestPort = guestPort;
        connection.Stage = VsockStage.Requested;
        return true;
    }

    /// <summary>The guest has forgotten it: what the host has not taken yet is all that is left of it.</summary>
    public void Forget(VsockConnection connection)
    {
        Unname(connection);
        connection.Stage = VsockStage.Forgotten;
        connection.News = VsockNews.None;
        connection.Deadline = HostClock.MonotonicNanoseconds() + Linger;
        worker.WakeAt(connection.Deadline);
    }

    /// <summary>Gives a connection its turn, if it has something to tell.</summary>
    public void Enqueue(VsockConnection connection)
    {
        if (connection.IsClosed || !connection.HasNews || _isReady[connection.Slot])
            return;
        _isReady[connection.Slot] = true;
        _ready.Enqueue(connection.Slot);
    }

    /// <summary>The next whose turn it is, or null.</summary>
    public VsockConnection? Dequeue()
    {
        while (_ready.TryDequeue(out int slot))
        {
            _isReady[slot] = false;
            if (_slots[slot] is { HasNews: true } connection)
                return connection;
        }
        return null;
    }

    public void Close(VsockConnection connection)
    {
        if (connection.IsClosed)
            return;
        connection.IsClosed = true;
        Unname(connection);
        _slots[connection.Slot] = null;
        connection.Stream.Dispose();
        Count--;
    }

    public void CloseAll()
    {
        foreach (VsockConnection? connection in _slots)
            if (connection is not null)
                Close(connection);
        _ready.Clear();
        Array.Clear(_isReady);
    }

    private void Unname(VsockConnection connection)
    {
        if (connection.Stage is VsockStage.Requested or VsockStage.Open)
            _byPorts.Remove((connection.HostPort, connection.GuestPort));
    }

    /// <summary>One whose time is over, or null; then the next time to ask is set.</summary>
    public VsockConnection? NextExpired()
    {
        long next = long.MaxValue;
        long now = HostClock.MonotonicNanoseconds();
        foreach (VsockConnection? connection in _slots)
        {
            if (connection is null or { Stage: VsockStage.Open })
                continue;
            if (connection.Deadline <= now)
                return connection;
            next = Math.Min(next, connection.Deadline);
        }
        if (next != long.MaxValue)
            worker.WakeAt(next);
        return null;
    }

    private VsockConnection? Add(FileDescriptor file, uint hostPort)
    {
        int slot = Array.IndexOf(_slots, null);
        // There is memory for all of them, so that what credit promises is there.
        if (slot < 0 || ByteRing.TryCreate(_memory, VsockStream.Room) is not { } waiting)
        {
            file.Dispose();
            return null;
        }
        long deadline = HostClock.MonotonicNanoseconds() + Patience;
        _generations[slot] = (_generations[slot] + 1) % Generations;
        VsockConnection connection = new(new VsockStream(file, waiting), slot, hostPort)
        {
            Source = (_generations[slot] * Limit) + slot,
            MayRead = true,
            Deadline = deadline,
        };
        worker.Add(connection.Source, file, Libc.EPOLLIN | Libc.EPOLLOUT | Libc.EPOLLRDHUP);
        worker.WakeAt(deadline);
        _slots[slot] = connection;
        Count++;
        return connection;
    }
}
