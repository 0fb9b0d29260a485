using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Network;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// What a machine guest reaches on the host: its connection to port P of CID 2 leads to the Unix socket PATH_P, beside
/// the one by which the host reaches the guest. That this socket is there, and this user's, is the permission. The VMM
/// may have fallen to its guest: all that it can choose is a number.
/// </summary>
/// <param name="path">The policy's, of the listening socket.</param>
sealed unsafe class VsockServices(string path)
{
    readonly RequestRate _rate = new(NetworkChannel.RequestsPerSecond);

    /// <summary>Whether a VMM asks for a connection.</summary>
    public static bool IsRequest(in ChannelMessage message) =>
        message is { Version: ChannelMessage.CurrentVersion, Kind: MessageKind.Connect };

    /// <param name="socket">What goes along with the answer; the caller's to close.</param>
    public ChannelMessage Answer(in ChannelMessage request, out FileDescriptor? socket)
    {
        socket = null;
        int error = _rate.TryTake(HostClock.MonotonicNanoseconds()) ? Connect(request.Detail32, out socket) : EAGAIN;
        return new ChannelMessage
        {
            Version = ChannelMessage.CurrentVersion, Kind = MessageKind.Connected, Detail32 = (uint)error, Value = request.Value,
        };
    }

    /// <summary>
    /// Connects without waiting. The name is looked up once, following no link at its end, and what it then leads to is
    /// what is judged and connected to: who can make names beside the listening socket must not lead root elsewhere.
    /// </summary>
    /// <returns>0 or an error number.</returns>
    int Connect(uint port, out FileDescriptor? connected)
    {
        connected = null;
        int error = FileDescriptor.TryOpen($"{path}_{port}", O_PATH | O_NOFOLLOW, 0, out FileDescriptor? place);
        if (error != 0)
            return -error;
        using (place)
        {
            error = place!.GetStatus(out stat status);
            if (error != 0)
                return -error;
            if (!S_ISSOCK(status.st_mode))
                return ENOTSOCK;
            if (status.st_uid != geteuid())
                return EACCES;
            sockaddr_un address = new() { sun_family = AF_UNIX };
            Encoding.ASCII.GetBytes($"/proc/self/fd/{place.Value}", new Span<byte>(address.sun_path, sizeof(sockaddr_un) - sizeof(ushort)));
            int number = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            if (number < 0)
                return errno;
            FileDescriptor file = new(number);
            if (connect(number, &address, (uint)sizeof(sockaddr_un)) == 0)
            {
                connected = file;
                return 0;
            }
            error = errno;
            file.Dispose();
            return error;
        }
    }
}
