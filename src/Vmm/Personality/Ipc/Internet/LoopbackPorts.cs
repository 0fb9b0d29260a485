using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// Which socket of the guest has which address and port of the guest's own network: its loopback addresses, and for
/// sockets that listen everywhere, all of them.
/// </summary>
sealed class LoopbackPorts
{
    /// <summary>net.ipv4.ip_local_port_range.</summary>
    private const int FirstEphemeral = 32768, LastEphemeral = 60999;

    private readonly Lock _lock = new();
    private readonly Dictionary<(int Type, ushort Port), List<InternetSocket>> _bound = [];
    private int _lastEphemeral = LastEphemeral;

    /// <summary>Takes an address for a socket; port 0 asks for any that is free.</summary>
    /// <returns>0 or -EADDRINUSE.</returns>
    public long TryBind(InternetSocket socket, ref InternetAddress address)
    {
        lock (_lock)
        {
            if (address.Port != 0)
                return TryBindLocked(socket, address) ? 0 : -EADDRINUSE;
            for (int tries = FirstEphemeral; tries <= LastEphemeral; tries++)
            {
                _lastEphemeral = _lastEphemeral == LastEphemeral ? FirstEphemeral : _lastEphemeral + 1;
                InternetAddress candidate = address with { Port = (ushort)_lastEphemeral };
                if (!TryBindLocked(socket, candidate))
                    continue;
                address = candidate;
                return 0;
            }
            return -EADDRINUSE;
        }
    }

    private bool TryBindLocked(InternetSocket socket, InternetAddress address)
    {
        if (!_bound.TryGetValue((socket.Type, address.Port), out List<InternetSocket>? sockets))
            _bound.Add((socket.Type, address.Port), sockets = []);
        foreach (InternetSocket other in sockets)
        {
            bool overlap = Holds(other.Bound, other.IsSixOnly, address) || Holds(address, socket.IsSixOnly, other.Bound);
            if (overlap)
                return false;
        }
        // Looked at by others as soon as it is in the list.
        socket.Bound = address;
        sockets.Add(socket);
        return true;
    }

    public void Unbind(InternetSocket socket)
    {
        (int, ushort) key = (socket.Type, socket.Bound.Port);
        lock (_lock)
        {
            if (_bound.TryGetValue(key, out List<InternetSocket>? sockets) && sockets.Remove(socket) && sockets.Count == 0)
                _bound.Remove(key);
        }
    }

    /// <summary>Who would get what is sent to an address of the guest's own, with a reference; null for nobody.</summary>
    public InternetSocket? Find(int type, InternetAddress destination)
    {
        lock (_lock)
        {
            if (!_bound.TryGetValue((type, destination.Port), out List<InternetSocket>? sockets))
                return null;
            InternetSocket? found = null;
            foreach (InternetSocket socket in sockets)
                if (Holds(socket.Bound, socket.IsSixOnly, destination) && (found is null || !socket.Bound.IsAny))
                    found = socket;
            return found is not null && found.TryAcquire() ? found : null;
        }
    }

    /// <summary>Whether a socket with one address gets what is sent to another.</summary>
    private static bool Holds(InternetAddress bound, bool sixOnly, InternetAddress destination) =>
        bound.Bits == destination.Bits
        || (bound.IsAny && (bound.IsFour ? destination.IsFour : !sixOnly || !destination.IsFour));
}
