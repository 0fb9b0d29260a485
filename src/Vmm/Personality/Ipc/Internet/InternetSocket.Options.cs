using System.Runtime.InteropServices;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Ipc;

// getsockopt(2) and setsockopt(2).
public sealed partial class InternetSocket
{
    private readonly InternetOptions _options;

    internal bool IsSixOnly => Domain == AF_INET6 && Known(SOL_IPV6, IPV6_V6ONLY) != 0;

    /// <summary>Buffers of connections inside are a Unix socket's and have its size.</summary>
    public override int SendBuffer
    {
        get => Known(SOL_SOCKET, SO_SNDBUF);
        set => SetBuffer(SO_SNDBUF, value);
    }

    public override int ReceiveBuffer
    {
        get => Known(SOL_SOCKET, SO_RCVBUF);
        set => SetBuffer(SO_RCVBUF, value);
    }

    private int Known(int level, int option) => _options.TryGet(level, option, out int value) ? value : 0;

    private void SetBuffer(int option, int value)
    {
        const int least = 2304;
        // Shown as twice what was set; the host doubles what it is told by itself.
        int half = Math.Clamp(value, least / 2, UnixSocket.DefaultBuffer);
        _options.Set(SOL_SOCKET, option, 2 * half);
        TellHosts(SOL_SOCKET, option, half);
    }

    internal override long GetFamilyOption(int level, int option, Span<byte> value)
    {
        if (!IsLevel(level))
            return -ENOPROTOOPT;
        if (!_options.TryGet(level, option, out int found))
            return -ENOPROTOOPT;
        MemoryMarshal.Write(value, found);
        return sizeof(int);
    }

    internal override long SetFamilyOption(int level, int option, int value)
    {
        if (!IsLevel(level))
            return -ENOPROTOOPT;
        if (level == SOL_IPV6 && option == IPV6_V6ONLY && _isBound)
            return -EINVAL;
        long result = _options.Set(level, option, value);
        if (result == 0 && _options.IsHosts(level, option))
            TellHosts(level, option, value);
        return result;
    }

    /// <summary>IPv4's options are for sockets of both families, IPv6's not.</summary>
    private bool IsLevel(int level) => level != SOL_IPV6 || Domain == AF_INET6;

    internal override long OnSwitch(int option, bool value)
    {
        switch (option)
        {
            case SO_KEEPALIVE when IsStream:
                return SetFamilyOption(SOL_SOCKET, SO_KEEPALIVE, value ? 1 : 0);
            default:
                return 0;
        }
    }

    private void TellHosts(int level, int option, int value)
    {
        lock (_lock)
        {
            _host?.SetOption(level, option, value);
            foreach (Association association in _associations ?? [])
                association.Host.SetOption(level, option, value);
        }
    }
}
