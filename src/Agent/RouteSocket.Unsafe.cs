using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>
/// Asks the guest's kernel to change interfaces, addresses and routes: rtnetlink(7), one request at a time.
/// </summary>
sealed unsafe class RouteSocket : IDisposable
{
    /// <summary>A request's head, its structure, and two attributes with an IPv6 address each, and more.</summary>
    private const int RequestBytes = 256;

    private readonly FileDescriptor _socket;
    private readonly byte[] _request = new byte[RequestBytes];
    private int _length;

    /// <exception cref="AgentException">The kernel has no such socket.</exception>
    public RouteSocket()
    {
        int number = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (number < 0)
            throw new AgentException(AgentStep.Network, errno);
        _socket = new FileDescriptor(number);
    }

    /// <summary>Begins a request about what a structure says.</summary>
    public RouteSocket Begin<T>(int type, int flags, T about)
        where T : unmanaged
    {
        _length = 0;
        Append(new nlmsghdr { nlmsg_type = (ushort)type, nlmsg_flags = (ushort)(NLM_F_REQUEST | NLM_F_ACK | flags) });
        Append(about);
        return this;
    }

    /// <param name="value">4 bytes, or another multiple of that.</param>
    public RouteSocket With(int attribute, ReadOnlySpan<byte> value)
    {
        Append(new rtattr { rta_len = (ushort)(sizeof(rtattr) + value.Length), rta_type = (ushort)attribute });
        value.CopyTo(_request.AsSpan(_length));
        _length += value.Length;
        return this;
    }

    /// <exception cref="AgentException">The kernel refused.</exception>
    public void Send()
    {
        // The head begins with the length of all.
        MemoryMarshal.Write(_request, (uint)_length);
        nint count = _socket.Write(_request.AsSpan(0, _length));
        byte[] answer = new byte[RequestBytes + sizeof(nlmsghdr) + sizeof(nlmsgerr)];
        if (count >= 0)
            count = _socket.Read(answer);
        if (count < 0)
            throw new AgentException(AgentStep.Network, (int)-count);
        // The only message that is not asked for otherwise: NLMSG_ERROR, with 0 for success.
        if (count < sizeof(nlmsghdr) + sizeof(nlmsgerr))
            throw new AgentException(AgentStep.Network, EPROTO);
        int error = MemoryMarshal.Read<nlmsgerr>(answer.AsSpan(sizeof(nlmsghdr))).error;
        if (error != 0)
            throw new AgentException(AgentStep.Network, -error);
    }

    public void Dispose() => _socket.Dispose();

    private void Append<T>(T value)
        where T : unmanaged
    {
        MemoryMarshal.Write(_request.AsSpan(_length), value);
        _length += sizeof(T);
    }
}
