using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Network;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// What a machine guest reaches on the host: its connection to port P of CID 2 leads to the Unix socket PATH_P, beside
/// the one by which the host reaches the guest. That this socket is there, and this user's, is the permission. The VMM
/// may have fallen to its guest: all that it can choose is a number.
/// </summary>
/// <param name="rule">The policy's, which names the path of the listening socket.</param>
/// <param name="decisions">Hears of each connection before it is made; null for nobody.</param>
sealed class VsockServices(DeviceRule rule, IDecisionSink? decisions = null)
{
    readonly RequestRate _rate = new(NetworkChannel.RequestsPerSecond);

    /// <summary>Milliseconds until a request may be answered; 0 when one may be at once.</summary>
    public int MillisecondsUntilReady => _rate.MillisecondsUntilRoom(HostClock.MonotonicNanoseconds());

    /// <summary>Whether a VMM asks for a connection.</summary>
    public static bool IsRequest(in ChannelMessage message) =>
        message is { Version: ChannelMessage.CurrentVersion, Kind: MessageKind.Connect };

    /// <param name="socket">What goes along with the answer; the caller's to close.</param>
    public ChannelMessage Answer(in ChannelMessage request, out FileDescriptor? socket)
    {
        _rate.Take(HostClock.MonotonicNanoseconds());
        int error = Connect(request.Detail32, out socket);
        return new ChannelMessage
        {
            Version = ChannelMessage.CurrentVersion, Kind = MessageKind.Connected, Detail32 = (uint)error,
            Value = request.Value,
        };
    }

    /// <returns>0 or an error number; EAGAIN also for what cannot be recorded now.</returns>
    int Connect(uint port, out FileDescriptor? connected)
    {
        connected = null;
        long began = HostClock.MonotonicNanoseconds();
        int error = Find(port, out FileDescriptor? place);
        using (place)
        {
            string result = error == 0 ? "allowed" : $"denied {Errno.Name(error)}";
            if (decisions?.Record(new DecisionRecord(
                $"connect vsock 2:{port}", error == 0, result, rule, Process: 0,
                HostClock.MonotonicNanoseconds() - began)) == false)
                return EAGAIN;
            return error == 0 ? SocketFile.Connect(place!, out connected) : error;
        }
    }

    /// <summary>
    /// The name is looked up once, following no link at its end, and what it then leads to is what is judged and
    /// connected to: who can make names beside the listening socket must not lead root elsewhere.
    /// </summary>
    /// <returns>0 or an error number, for what is no permission.</returns>
    int Find(uint port, out FileDescriptor? place)
    {
        int error = FileDescriptor.TryOpen($"{rule.From}_{port}", O_PATH | O_NOFOLLOW, 0, out place);
        if (error == 0)
            error = place!.GetStatus(out stat status) is var failed and not 0 ? failed
                : !S_ISSOCK(status.st_mode) ? -ENOTSOCK
                : status.st_uid != geteuid() ? -EACCES : 0;
        return -error;
    }
}
