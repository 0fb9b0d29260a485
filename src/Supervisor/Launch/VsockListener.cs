using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// The Unix socket at which programs of the host reach ports of a machine guest: they write "CONNECT PORT\n" and read
/// "OK PORT\n". Only its maker's user can connect. It is there as long as the guest.
/// </summary>
sealed unsafe class VsockListener : IDisposable
{
    /// <summary>Clients that wait to be taken.</summary>
    const int Backlog = 16;

    const uint Mode = 0x180; // rw-------

    VsockListener(FileDescriptor socket, DeviceRule rule, in sockaddr_un address)
    {
        Socket = socket;
        Rule = rule;
        _address = address;
    }

    readonly sockaddr_un _address;
    ulong _inode;

    public FileDescriptor Socket { get; }

    /// <summary>Names the path that it is bound to.</summary>
    public DeviceRule Rule { get; }

    /// <summary>Of the socket that is at the path; 0 before there is one.</summary>
    public ulong Inode => _inode;

    /// <summary>One that has no name yet.</summary>
    /// <param name="rule">The policy's.</param>
    /// <exception cref="UsageException">There cannot be a socket of this name.</exception>
    public static VsockListener Make(DeviceRule rule)
    {
        sockaddr_un address = new() { sun_family = AF_UNIX };
        var place = new Span<byte>(address.sun_path, sizeof(sockaddr_un) - sizeof(ushort));
        // Room for the NUL at its end.
        if (!Encoding.UTF8.TryGetBytes(rule.From!, place[..^1], out _))
            throw Refused(rule, $"is longer than the {place.Length - 1} bytes of a socket's address");
        int number = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return number >= 0
            ? new VsockListener(new FileDescriptor(number), rule, address)
            : throw HostException.Last("socket");
    }

    /// <summary>Puts it at its path.</summary>
    /// <exception cref="UsageException">There cannot be a socket at this path.</exception>
    public void Listen()
    {
        // Without a moment in which others could connect: who may is in the mode with which it is made.
        int error = fchmod(Socket.Value, Mode) == 0 ? -SocketFile.Listen(Socket, _address, Rule.From!, Backlog, out _inode) : errno;
        if (error != 0)
            throw Refused(Rule, error == EADDRINUSE
                ? "is there already; name another, or remove it"
                : $"cannot be made: {Errno.Describe(error)}");
    }

    static UsageException Refused(DeviceRule rule, string reason) =>
        new($"{rule.Span}: device vsock: the socket {Quote.Value(rule.From!)} {reason}");

    public void Dispose()
    {
        if (Inode != 0)
            _ = SocketFile.Remove(Rule.From!, Inode, abandonedOnly: false);
        Socket.Dispose();
    }
}
