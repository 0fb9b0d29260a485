using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

/// <summary>
/// Options of one Internet socket that programs set: kept, shown again, and told to the sockets of the host that it
/// gets, where they mean something there.
/// </summary>
sealed class InternetOptions(int type)
{
    /// <param name="Default">What a new socket shows.</param>
    /// <param name="Largest">The largest value that is taken.</param>
    /// <param name="Type">The sockets that have it: SOCK_STREAM, or 0 for all.</param>
    /// <param name="IsHosts">Whether the host's socket is told.</param>
    private readonly record struct Option(int Level, int Name, int Default, int Largest, int Type, bool IsHosts);

    private static readonly Option[] s_known =
    [
        new(SOL_TCP, TCP_NODELAY, 0, int.MaxValue, SOCK_STREAM, true),
        new(SOL_TCP, TCP_CORK, 0, int.MaxValue, SOCK_STREAM, true),
        new(SOL_TCP, TCP_KEEPIDLE, 7200, 32767, SOCK_STREAM, true),
        new(SOL_TCP, TCP_KEEPINTVL, 75, 32767, SOCK_STREAM, true),
        new(SOL_TCP, TCP_KEEPCNT, 9, 127, SOCK_STREAM, true),
        new(SOL_TCP, TCP_USER_TIMEOUT, 0, int.MaxValue, SOCK_STREAM, true),
        new(SOL_TCP, TCP_QUICKACK, 1, int.MaxValue, SOCK_STREAM, true),
        new(SOL_TCP, TCP_SYNCNT, 6, 127, SOCK_STREAM, false),
        new(SOL_TCP, TCP_DEFER_ACCEPT, 0, int.MaxValue, SOCK_STREAM, false),
        new(SOL_SOCKET, SO_KEEPALIVE, 0, 1, SOCK_STREAM, true),
        new(SOL_SOCKET, SO_SNDBUF, UnixSocket.DefaultBuffer, int.MaxValue, 0, true),
        new(SOL_SOCKET, SO_RCVBUF, UnixSocket.DefaultBuffer, int.MaxValue, 0, true),
        new(SOL_IP, IP_TOS, 0, 255, 0, false),
        new(SOL_IP, IP_TTL, 64, 255, 0, false),
        new(SOL_IP, IP_MTU_DISCOVER, 1, 5, 0, false),
        new(SOL_IP, IP_RECVERR, 0, int.MaxValue, 0, false),
        new(SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0, 1, 0, false),
        new(SOL_IPV6, IPV6_V6ONLY, 0, int.MaxValue, 0, false),
        new(SOL_IPV6, IPV6_RECVERR, 0, int.MaxValue, 0, false),
        new(SOL_IPV6, IPV6_MTU_DISCOVER, 1, 5, 0, false),
        new(SOL_IPV6, IPV6_TCLASS, 0, 255, 0, false),
        new(SOL_IPV6, IPV6_UNICAST_HOPS, 64, 255, 0, false),
    ];

    private readonly Lock _lock = new();

    /// <summary>What was set, by place in the table; null while nothing was.</summary>
    private int?[]? _values;

    private int Find(int level, int name) =>
        Array.FindIndex(s_known, option => option.Level == level && option.Name == name
            && (option.Type == 0 || option.Type == type));

    /// <returns>False for an option that these sockets do not have.</returns>
    public bool TryGet(int level, int name, out int value)
    {
        int place = Find(level, name);
        value = 0;
        if (place < 0)
            return false;
        lock (_lock)
            value = _values?[place] ?? s_known[place].Default;
        return true;
    }

    /// <returns>0, -EINVAL or -ENOPROTOOPT.</returns>
    public long Set(int level, int name, int value)
    {
        int place = Find(level, name);
        if (place < 0)
            return -ENOPROTOOPT;
        if (value < 0 || value > s_known[place].Largest)
            return -EINVAL;
        lock (_lock)
            (_values ??= new int?[s_known.Length])[place] = value;
        return 0;
    }

    /// <summary>Whether the host's socket is told.</summary>
    public bool IsHosts(int level, int name) => Find(level, name) is >= 0 and var place && s_known[place].IsHosts;

    /// <summary>Tells a new socket of the host what was set before. What it does not take, it does without.</summary>
    public void Apply(HostSocket host)
    {
        lock (_lock)
        {
            if (_values is null)
                return;
            for (int place = 0; place < s_known.Length; place++)
            {
                Option option = s_known[place];
                if (_values[place] is not int value || !option.IsHosts)
                    continue;
                // The kernel doubles what it is told of buffers.
                bool isBuffer = option is { Level: SOL_SOCKET, Name: SO_SNDBUF or SO_RCVBUF };
                host.SetOption(option.Level, option.Name, isBuffer ? value / 2 : value);
            }
        }
    }
}
