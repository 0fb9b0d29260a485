using System.Net.Sockets;
using Sandbox.Host;
using Sandbox.Supervisor.LifeCycle;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.LifeCycle;

/// <summary>A control socket that is served as a supervisor serves it, and clients of every kind.</summary>
public sealed unsafe class ControlSocketTests : IDisposable
{
    readonly ScratchPlace _place = new();
    readonly StateFolder _folder;
    readonly ControlSocket _control;
    readonly Guest _guest = new();
    readonly Thread _server;
    bool _stop;

    public ControlSocketTests()
    {
        _folder = _place.Make();
        Assert.Equal(0, ControlSocket.TryOpen(_folder, out ControlSocket? control));
        _control = control!;
        _server = new Thread(Serve);
        _server.Start();
    }

    void Serve()
    {
        while (!Volatile.Read(ref _stop))
        {
            var ready = new pollfd { fd = _control.Events.Value, events = POLLIN };
            if (poll(&ready, 1, 10) > 0)
                _control.Serve(_guest);
        }
    }

    void StopServing()
    {
        Volatile.Write(ref _stop, true);
        _server.Join();
    }

    public void Dispose()
    {
        StopServing();
        _control.Dispose();
        _folder.Dispose();
        _place.Dispose();
    }

    /// <summary>Notes what is asked of it.</summary>
    sealed class Guest : IControlledGuest
    {
        public List<string> Asked { get; } = [];
        public int Answer { get; set; }

        public int Signal(int signal) => Note($"signal {signal}");
        public int Kill() => Note("kill");
        public int Pause() => Note("pause");
        public int Resume() => Note("resume");
        public int Count() => Note("count");
        public int SetBalloon(long bytes) => Note($"balloon {bytes}");

        int Note(string what)
        {
            lock (Asked)
                Asked.Add(what);
            return Answer;
        }
    }

    ControlClient Connect() => ControlClient.Connect(_folder)!;

    /// <summary>A client that says what it likes.</summary>
    Socket ConnectRaw()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };
        socket.Connect(new UnixDomainSocketEndPoint($"{_place.Path}/{_folder.Id}/control"));
        return socket;
    }

    static byte[] Message(uint version, uint kind, long value) =>
        [.. BitConverter.GetBytes(version), .. BitConverter.GetBytes(kind), .. BitConverter.GetBytes(value)];

    static bool IsClosed(Socket socket)
    {
        try
        {
            return socket.Receive(new byte[64]) == 0;
        }
        catch (SocketException failure) when (failure.SocketErrorCode is SocketError.ConnectionReset)
        {
            return true;
        }
    }

    [Fact]
    public void WhatIsAskedIsDoneAndAnswered()
    {
        using ControlClient client = Connect();
        Assert.True(client.Ask(ControlKind.Signal, SIGTERM));
        Assert.True(client.Ask(ControlKind.Pause));
        Assert.True(client.Ask(ControlKind.Resume));
        Assert.True(client.Ask(ControlKind.Balloon, 0));
        Assert.True(client.Ask(ControlKind.Balloon, long.MaxValue));
        Assert.True(client.Ask(ControlKind.Kill));
        Assert.Equal(
            ["signal 15", "pause", "resume", "balloon 0", "balloon 9223372036854775807", "kill"], _guest.Asked);
        _guest.Answer = -ENOSPC;
        Assert.Equal(ENOSPC, Assert.Throws<HostException>(() => client.Ask(ControlKind.Pause)).Errno);
    }

    [Fact]
    public void WhoAsksForCountsIsAnsweredWhenTheyHaveCome()
    {
        using ControlClient first = Connect();
        Assert.True(first.Ask(ControlKind.Count));
        _guest.Answer = -EINPROGRESS;
        using Socket one = ConnectRaw(), two = ConnectRaw(), gone = ConnectRaw();
        foreach (Socket client in (Socket[])[one, two, gone])
            client.Send(Message(1, (uint)ControlKind.Count, 0));
        SpinWait.SpinUntil(() => { lock (_guest.Asked) return _guest.Asked.Count == 4; }, 10_000);
        gone.Dispose();
        Assert.Equal(0, one.Available);
        StopServing();
        _control.AnswerCounts(-ETIMEDOUT);
        foreach (Socket client in (Socket[])[one, two])
        {
            byte[] answer = new byte[64];
            Assert.Equal(16, client.Receive(answer));
            Assert.Equal(Message(1, (uint)ControlKind.Answer, -ETIMEDOUT), answer[..16]);
        }

        // Nobody is told twice; who asks at the end is told that it is the end.
        _control.AnswerCounts(0);
        Assert.Equal(0, one.Available);
        one.Send(Message(1, (uint)ControlKind.Count, 0));
        _control.End(3);
        byte[] last = new byte[64];
        one.Receive(last);
        Assert.Equal(Message(1, (uint)ControlKind.Answer, -ESRCH), last[..16]);
    }

    [Fact]
    public void WhoWaitsLearnsTheStatus()
    {
        using ControlClient one = Connect(), two = Connect(), other = Connect();
        one.AskForEnd();
        two.AskForEnd();
        // Served in their order: when this is answered, the others have been heard.
        Assert.True(other.Ask(ControlKind.Resume));
        Assert.True(two.Ask(ControlKind.Resume));
        Assert.False(one.WaitForEnd(50, out _));
        StopServing();
        _control.End(42);
        Assert.True(one.WaitForEnd(10_000, out int? status));
        Assert.Equal(42, status);
        Assert.True(two.WaitForEnd(10_000, out status));
        Assert.Equal(42, status);
        _control.Dispose();
        Assert.True(other.WaitForEnd(10_000, out status));
        Assert.Null(status);
    }

    [Fact]
    public void WhoHasJustComeLearnsTheStatusToo()
    {
        StopServing();
        using ControlClient waits = Connect(), asks = Connect();
        waits.AskForEnd();
        _control.End(3);
        Assert.True(waits.WaitForEnd(10_000, out int? status));
        Assert.Equal(3, status);
        _control.Dispose();
        Assert.False(asks.Ask(ControlKind.Pause));
        Assert.Empty(_guest.Asked);
    }

    [Fact]
    public void WhoComesAfterTheEndIsToldThatNobodyIsThere()
    {
        StopServing();
        _control.Dispose();
        // A child of another test has the listener too, until its execve.
        Assert.True(SpinWait.SpinUntil(() => ControlClient.Connect(_folder) is null, TimeSpan.FromMinutes(1)));
        _folder.RemoveControl();
        Assert.Null(ControlClient.Connect(_folder));
    }

    [Fact]
    public void WhoBreaksTheRulesIsLeftAlone()
    {
        byte[][] bad =
        [
            [], [1], new byte[15], new byte[17], new byte[4096], Message(0, 1, 15), Message(2, 1, 15), Message(1, 0, 0),
            Message(1, 7, -1), Message(1, 7, long.MinValue),
            Message(1, 8, 0), Message(1, 16, 0), Message(1, 17, 0), Message(1, uint.MaxValue, 0), Message(1, 1, 0),
            Message(1, 1, 65), Message(1, 1, -1), Message(1, 1, long.MaxValue),
        ];
        foreach (byte[] message in bad)
        {
            using Socket client = ConnectRaw();
            client.Send(message);
            Assert.True(IsClosed(client), Convert.ToHexString(message));
        }

        Assert.Empty(_guest.Asked);
        using ControlClient good = Connect();
        Assert.True(good.Ask(ControlKind.Pause));
    }

    [Fact]
    public void DescriptorsAreNotTaken()
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, pipe2(ends, O_CLOEXEC));
        using var reader = new FileDescriptor(ends[0]);
        using (Socket client = ConnectRaw())
        using (var channel = new SeqpacketChannel(new FileDescriptor(dup((int)client.Handle))))
        using (var writer = new FileDescriptor(ends[1]))
        {
            channel.Send(ControlMessage.Of(ControlKind.Pause), writer);
            Assert.True(IsClosed(client));
        }

        Assert.Empty(_guest.Asked);
        // At its end once nobody can write to it any more.
        var left = new pollfd { fd = reader.Value, events = POLLIN };
        Assert.Equal(1, poll(&left, 1, 10_000));
        Assert.Equal(0, (int)reader.Read(new byte[1]));
    }

    [Fact]
    public void WhoDoesNotReadIsNotWaitedFor()
    {
        using Socket deaf = ConnectRaw();
        deaf.SendTimeout = 2_000;
        bool dropped = false;
        for (int i = 0; i < 100_000 && !dropped; i++)
            try
            {
                deaf.Send(Message(1, 4, 0));
            }
            catch (SocketException)
            {
                dropped = true;
            }

        Assert.True(dropped, "all was answered");
        using ControlClient good = Connect();
        Assert.True(good.Ask(ControlKind.Pause));
    }

    [Fact]
    public void OfTooManyTheFirstGoesThatDoesNotWaitForTheEnd()
    {
        Socket[] idle = [.. Enumerable.Range(0, ControlSocket.MaximumClients).Select(_ => ConnectRaw())];
        idle[0].Send(Message(1, 5, 0));
        using ControlClient good = Connect();
        Assert.True(good.Ask(ControlKind.Pause));
        Assert.True(IsClosed(idle[1]));
        Assert.False(idle[0].Poll(0, SelectMode.SelectRead));
        idle[^1].Send(Message(1, 4, 0));
        Assert.Equal(16, idle[^1].Receive(new byte[64]));
        Array.ForEach(idle, socket => socket.Dispose());
    }

    OpenedSandbox Find() => OpenedSandbox.Find(new StateOwner(geteuid(), [_place.Path]), _folder.Id.ToString());

    /// <summary>That is no end of the sandbox.</summary>
    [Fact]
    public void WhoIsTurnedAwayIsToldSo()
    {
        using OpenedSandbox sandbox = Find();
        using ControlClient first = sandbox.Connect()!;
        Assert.True(first.Ask(ControlKind.Pause));
        Socket[] others = [.. Enumerable.Range(0, ControlSocket.MaximumClients).Select(_ => ConnectRaw())];
        Assert.True(first.WaitForEnd(10_000, out int? status));
        Assert.Null(status);
        Assert.Contains("serves 16 others at once", Assert.Throws<UsageException>(() => sandbox.ExpectEnd(first)).Message);
        Array.ForEach(others, socket => socket.Dispose());
    }

    /// <summary>Its queue is full of those who did not wait for it.</summary>
    [Fact]
    public void ASupervisorThatTakesNobodyInDoesNotAnswer()
    {
        StopServing();
        List<Socket> waiting = [];
        bool isFull = false;
        while (!isFull)
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified) { Blocking = false };
            waiting.Add(socket);
            isFull = Record.Exception(() => socket.Connect(new UnixDomainSocketEndPoint($"{_place.Path}/{_folder.Id}/control"))) is not null;
        }

        Assert.Contains("does not answer", Assert.Throws<UsageException>(Connect).Message);
        waiting.ForEach(socket => socket.Dispose());
    }

    [Fact]
    public void TheSocketIsItsOwnersAlone() => Assert.Equal(
        UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode($"{_place.Path}/{_folder.Id}/control"));
}
