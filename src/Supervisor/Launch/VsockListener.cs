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

    VsockListener(FileDescriptor socket, DeviceRule rule)
    {
        Socket = socket;
        Rule = rule;
    }

    public FileDescriptor Socket { get; }

    /// <summary>Names the path that it is bound to.</summary>
    public DeviceRule Rule { get; }

    /// <param name="rule">The policy's.</param>
    /// <exception cref="UsageException">There cannot be a socket at this path.</exception>
    public static VsockListener Open(DeviceRule rule)
    {
        sockaddr_un address = new() { sun_family = AF_UNIX };
        var place = new Span<byte>(address.sun_path, sizeof(sockaddr_un) - sizeof(ushort));
        string path = rule.From!;
        // Room for the NUL at its end.
        if (!Encoding.UTF8.TryGetBytes(path, place[..^1], out _))
            throw Refused(rule, $"is longer than the {place.Length - 1} bytes of a socket's address");
        int number = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (number < 0)
            throw HostException.Last("socket");
        var file = new FileDescriptor(number);
        int error = Bind(file, address);
        if (error == EADDRINUSE && IsAbandoned(path, address))
        {
            File.Delete(path);
            error = Bind(file, address);
        }
        if (error == 0 && listen(file.Value, Backlog) != 0)
            error = errno;
        if (error == 0)
            return new VsockListener(file, rule);
        file.Dispose();
        throw Refused(rule, error == EADDRINUSE
            ? "is there already; name another, or remove it"
            : $"cannot be made: {Errno.Describe(error)}");
    }

    /// <summary>Without a moment in which others could connect: who may is in the mode with which it is made.</summary>
    static int Bind(FileDescriptor file, sockaddr_un address)
    {
        if (fchmod(file.Value, 0x180) != 0)
            return errno;
        return bind(file.Value, &address, (uint)sizeof(sockaddr_un)) == 0 ? 0 : errno;
    }

    /// <summary>A socket at which nobody listens any more: its supervisor was killed.</summary>
    static bool IsAbandoned(string path, sockaddr_un address)
    {
        // What is no socket refuses as well.
        if (FileDescriptor.TryOpen(path, O_PATH | O_NOFOLLOW, 0, out FileDescriptor? file) != 0)
            return false;
        using (file)
            if (file!.GetStatus(out stat status) != 0 || !S_ISSOCK(status.st_mode))
                return false;
        using FileDescriptor client = new(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        return connect(client.Value, &address, (uint)sizeof(sockaddr_un)) != 0 && errno == ECONNREFUSED;
    }

    static UsageException Refused(DeviceRule rule, string reason) =>
        new($"{rule.Span}: device vsock: the socket {Quote.Value(rule.From!)} {reason}");

    public void Dispose()
    {
        File.Delete(Rule.From!);
        Socket.Dispose();
    }
}
