using Sandbox.Host;
using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>The other end of a control socket: asks a supervisor, and waits for its answers.</summary>
sealed unsafe class ControlClient : IDisposable
{
    /// <summary>A supervisor that lives answers in milliseconds, unless it has been stopped.</summary>
    const int AnswerMilliseconds = 5_000;

    readonly SandboxId _id;
    readonly SeqpacketChannel _channel;
    int? _status;

    ControlClient(SandboxId id, SeqpacketChannel channel)
    {
        _id = id;
        _channel = channel;
    }

    /// <returns>Null when nobody listens: the sandbox has just ended.</returns>
    /// <exception cref="HostException">The host refused.</exception>
    /// <exception cref="UsageException">The supervisor does not answer.</exception>
    public static ControlClient? Connect(StateFolder folder)
    {
        int number = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (number < 0)
            throw HostException.Last("socket");
        var file = new FileDescriptor(number);
        // A supervisor that has been stopped takes nobody in; once enough wait for that, the next would wait for ever.
        var patience = new timeval { tv_sec = AnswerMilliseconds / 1_000 };
        if (setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &patience, (uint)sizeof(timeval)) != 0)
            throw HostException.Last("setsockopt SO_SNDTIMEO");
        sockaddr_un address = ControlAddress.In(folder);
        int result;
        do
            result = connect(file.Value, &address, (uint)sizeof(sockaddr_un));
        while (result != 0 && errno == EINTR);
        if (result == 0)
            return new ControlClient(folder.Id, new SeqpacketChannel(file));
        HostException failure = HostException.Last("connect", $"sandbox {folder.Id}");
        file.Dispose();
        return failure.Errno switch
        {
            ENOENT or ECONNREFUSED => null,
            EAGAIN => throw Silent(folder.Id),
            _ => throw failure,
        };
    }

    static UsageException Silent(SandboxId id) => new(
        $"the supervisor of {id} does not answer; if it was stopped, continue it (kill -CONT), or kill it");

    /// <summary>Whether the supervisor has ended the connection without a word.</summary>
    public bool IsDropped { get; private set; }

    /// <summary>Asks, and waits until it is done.</summary>
    /// <returns>False when the sandbox ended instead, or the connection: see <see cref="IsDropped"/>.</returns>
    /// <exception cref="HostException">It was not done.</exception>
    /// <exception cref="UsageException">The supervisor does not answer.</exception>
    public bool Ask(ControlKind kind, long value = 0)
    {
        int error = _channel.TrySend(ControlMessage.Of(kind, value), wait: true);
        IsDropped |= error is not (0 or -EAGAIN);
        if (IsDropped)
            return false;
        if (error != 0 || !Next(AnswerMilliseconds, out ControlMessage message))
            throw Silent(_id);
        if (message.Kind != ControlKind.Answer || message.Value == -ESRCH)
            return false;
        return message.Value == 0
            ? true
            : throw new HostException((int)Math.Clamp(-message.Value, 1, int.MaxValue), Word(kind), $"sandbox {_id}");
    }

    /// <summary>From now on the end is told.</summary>
    public void AskForEnd() => _channel.TrySend(ControlMessage.Of(ControlKind.Wait), wait: true);

    /// <summary>Waits for the end that was asked for.</summary>
    /// <param name="milliseconds">At most so long; negative for as long as it takes.</param>
    /// <param name="status">The exit status; null when the supervisor ended without a word.</param>
    /// <returns>False when the sandbox still runs.</returns>
    public bool WaitForEnd(int milliseconds, out int? status)
    {
        bool ended = Next(milliseconds, out _);
        status = _status;
        return ended;
    }

    /// <summary>The next message; none with a kind when the other end has gone.</summary>
    /// <returns>False when there was none in time.</returns>
    bool Next(int milliseconds, out ControlMessage message)
    {
        message = default;
        var ready = new pollfd { fd = _channel.Socket.Value, events = POLLIN };
        int count;
        do
            count = poll(&ready, 1, milliseconds);
        while (count < 0 && errno == EINTR);
        if (count == 0)
            return false;
        try
        {
            if (!_channel.Receive(out message) || message.Version != ControlMessage.CurrentVersion)
                message = default;
        }
        catch (HostException gone) when (gone.Errno is ECONNRESET or EBADMSG)
        {
            message = default;
        }

        IsDropped |= message.Kind == default;
        if (message.Kind == ControlKind.Ended)
            _status = (int)Math.Clamp(message.Value, 0, byte.MaxValue);
        return true;
    }

    static string Word(ControlKind kind) => kind switch
    {
        ControlKind.Signal => "signal",
        ControlKind.Kill => "kill",
        ControlKind.Pause => "pause",
        ControlKind.Count => "count",
        ControlKind.Balloon => "balloon",
        _ => "resume",
    };

    public void Dispose() => _channel.Dispose();
}
