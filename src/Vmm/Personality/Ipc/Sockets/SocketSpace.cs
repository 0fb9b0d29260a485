namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>What the sockets of one sandbox share: budgets, and the abstract names in use.</summary>
public sealed class SocketSpace(KernelMemory memory)
{
    /// <summary>Descriptors in flight in the whole guest.</summary>
    public const int FilesInFlightLimit = 4096;

    private readonly Lock _lock = new();
    private readonly Dictionary<SocketAddress, UnixSocket> _abstractNames = [];
    private uint _lastAutomatic;

    public KernelMemory Memory { get; } = memory;

    public FilesInFlight InFlight { get; } = new(FilesInFlightLimit);

    /// <summary>Binds an abstract name. False when it is in use.</summary>
    public bool TryBind(SocketAddress address, UnixSocket socket)
    {
        lock (_lock)
            return _abstractNames.TryAdd(address, socket);
    }

    /// <summary>Binds a name of the kernel's choice: the first free one of 2^20. Null when there is none.</summary>
    public SocketAddress? BindAutomatically(UnixSocket socket)
    {
        lock (_lock)
        {
            for (int tries = 0; tries < 1 << 20; tries++)
            {
                SocketAddress address = SocketAddress.Automatic(++_lastAutomatic);
                if (_abstractNames.TryAdd(address, socket))
                    return address;
            }
            return null;
        }
    }

    public void Unbind(SocketAddress address, UnixSocket socket)
    {
        lock (_lock)
        {
            if (_abstractNames.TryGetValue(address, out UnixSocket? bound) && bound == socket)
                _abstractNames.Remove(address);
        }
    }

    /// <summary>The socket with an abstract name, with a reference for the caller, or null.</summary>
    public UnixSocket? Find(SocketAddress address)
    {
        lock (_lock)
            return _abstractNames.TryGetValue(address, out UnixSocket? socket) && socket.TryAcquire() ? socket : null;
    }
}
