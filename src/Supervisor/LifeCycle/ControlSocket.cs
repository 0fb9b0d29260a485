using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// The supervisor's end of a sandbox's control socket, in its folder. Whoever may connect is this user or root, and is
/// still not trusted to keep to the rules: who breaks them is left alone, who does not read is not waited for, and
/// nobody is served before the VMM has been.
/// </summary>
sealed unsafe class ControlSocket : IDisposable
{
    /// <summary>At once; of more, one goes: the first that does not wait for the end, if there is such a one.</summary>
    public const int MaximumClients = 16;

    const uint Mode = 0x180; // rw-------
    const int Backlog = 16;
    const int FirstSignal = 1, LastSignal = 64;

    /// <summary>How much is still heard at the end: each who may have come, and what each came to say.</summary>
    const int LastEvents = 4 * MaximumClients;

    readonly FileDescriptor _listener;
    readonly FileDescriptor _events;
    readonly List<Client> _clients = [];

    ControlSocket(FileDescriptor listener, FileDescriptor events)
    {
        _listener = listener;
        _events = events;
    }

    sealed class Client(SeqpacketChannel channel) : IDisposable
    {
        public SeqpacketChannel Channel => channel;
        public bool Waits { get; set; }

        /// <summary>Is told when the guest has been counted.</summary>
        public bool Counts { get; set; }

        public void Dispose() => channel.Dispose();
    }

    /// <summary>Nothing can be done to it any more.</summary>
    sealed class EndedGuest : IControlledGuest
    {
        public int Signal(int signal) => -ESRCH;
        public int Kill() => -ESRCH;
        public int Pause() => -ESRCH;
        public int Resume() => -ESRCH;
        public int Count() => -ESRCH;
        public int SetBalloon(long bytes) => -ESRCH;
    }

    /// <summary>Readable when somebody has come or asks something.</summary>
    public FileDescriptor Events => _events;

    /// <returns>0 or a negative error number.</returns>
    public static int TryOpen(StateFolder folder, out ControlSocket? opened)
    {
        opened = null;
        int number = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (number < 0)
            return -errno;
        var listener = new FileDescriptor(number);
        number = epoll_create1(EPOLL_CLOEXEC);
        if (number < 0)
        {
            int error = -errno;
            listener.Dispose();
            return error;
        }

        var control = new ControlSocket(listener, new FileDescriptor(number));
        int failure = control.Listen(folder);
        if (failure != 0)
            control.Dispose();
        else
            opened = control;
        return failure;
    }

    int Listen(StateFolder folder)
    {
        sockaddr_un address = ControlAddress.In(folder);
        // Made with the mode that it is to have: in between nobody gets in, since the folder is closed to others.
        if (bind(_listener.Value, &address, (uint)sizeof(sockaddr_un)) != 0)
            return -errno;
        int error = folder.SetSocketMode(Mode);
        if (error == 0 && listen(_listener.Value, Backlog) != 0)
            error = -errno;
        return error == 0 ? Watch(_listener) : error;
    }

    int Watch(FileDescriptor file)
    {
        var wanted = new epoll_event { events = EPOLLIN, data = (ulong)file.Value };
        return epoll_ctl(_events.Value, EPOLL_CTL_ADD, file.Value, &wanted) == 0 ? 0 : -errno;
    }

    /// <summary>Serves one event.</summary>
    /// <returns>False when there was none.</returns>
    public bool Serve(IControlledGuest guest)
    {
        epoll_event ready;
        if (epoll_wait(_events.Value, &ready, 1, 0) != 1)
            return false;
        ulong number = ready.data;
        if (number == (ulong)_listener.Value)
            Accept();
        else if (_clients.Find(client => (ulong)client.Channel.Socket.Value == number) is Client client
            && !Hear(client, guest))
            Drop(client);
        return true;
    }

    void Accept()
    {
        int number = accept4(_listener.Value, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (number < 0)
            return;
        var socket = new FileDescriptor(number);
        if (!IsTrusted(socket) || Watch(socket) != 0)
        {
            socket.Dispose();
            return;
        }

        if (_clients.Count == MaximumClients)
            Drop(_clients.Find(client => !client.Waits) ?? _clients[0]);
        _clients.Add(new Client(new SeqpacketChannel(socket)));
    }

    static bool IsTrusted(FileDescriptor socket)
    {
        ucred peer;
        uint length = (uint)sizeof(ucred);
        return getsockopt(socket.Value, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0
            && (peer.uid == geteuid() || peer.uid == 0);
    }

    /// <returns>False when the client has gone or has broken the rules.</returns>
    static bool Hear(Client client, IControlledGuest guest)
    {
        ControlMessage message;
        try
        {
            if (!client.Channel.Receive(out message))
                return false;
        }
        catch (HostException bad) when (bad.Errno is EBADMSG or ECONNRESET or EAGAIN)
        {
            return bad.Errno == EAGAIN;
        }

        if (message.Version != ControlMessage.CurrentVersion)
            return false;
        int answer;
        switch (message.Kind)
        {
            case ControlKind.Signal when message.Value is >= FirstSignal and <= LastSignal:
                answer = guest.Signal((int)message.Value);
                break;
            case ControlKind.Kill:
                answer = guest.Kill();
                break;
            case ControlKind.Pause:
                answer = guest.Pause();
                break;
            case ControlKind.Resume:
                answer = guest.Resume();
                break;
            case ControlKind.Balloon when message.Value >= 0:
                answer = guest.SetBalloon(message.Value);
                break;
            case ControlKind.Count:
                answer = guest.Count();
                if (answer != -EINPROGRESS)
                    break;
                client.Counts = true;
                return true;
            case ControlKind.Wait:
                client.Waits = true;
                return true;
            default:
                return false;
        }

        return client.Channel.TrySend(ControlMessage.Of(ControlKind.Answer, answer), wait: false) == 0;
    }

    /// <summary>Tells those who wait for it that the guest has been counted, or could not be.</summary>
    /// <param name="answer">0 or a negative error number.</param>
    public void AnswerCounts(int answer)
    {
        foreach (Client client in _clients.FindAll(client => client.Counts))
        {
            client.Counts = false;
            if (client.Channel.TrySend(ControlMessage.Of(ControlKind.Answer, answer), wait: false) != 0)
                Drop(client);
        }
    }

    void Drop(Client client)
    {
        // Closing takes it out of the queue of events, too.
        client.Dispose();
        _clients.Remove(client);
    }

    /// <summary>The guest has ended: tells those who wait, and those who have just come to.</summary>
    /// <param name="status">The command line's exit status.</param>
    public void End(int status)
    {
        AnswerCounts(-ESRCH);
        var ended = new EndedGuest();
        for (int i = 0; i < LastEvents && Serve(ended); i++)
        {
        }

        foreach (Client client in _clients)
            if (client.Waits)
                client.Channel.TrySend(ControlMessage.Of(ControlKind.Ended, status), wait: false);
    }

    public void Dispose()
    {
        _clients.ForEach(client => client.Dispose());
        _clients.Clear();
        _events.Dispose();
        _listener.Dispose();
    }
}
