using System.Net.Sockets;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Tests.Audit;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public sealed class VsockServicesTests : IDisposable
{
    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vsock-");
    readonly DecisionList _decisions = new();
    readonly VsockServices _services;

    public VsockServicesTests() => _services = new VsockServices(Rule(Place), _decisions);

    internal static DeviceRule Rule(string path) =>
        new(new SourceSpan(new SourceText("p.yaml", ""), 1, 1, 1), null, DeviceKind.Vsock, path, false, null);

    string Place => Path.Combine(_folder.FullName, "s");

    public void Dispose() => _folder.Delete(recursive: true);

    Socket Listen(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        socket.Listen();
        return socket;
    }

    (int Error, FileDescriptor? Socket) Ask(uint port)
    {
        ChannelMessage answer = _services.Answer(
            new ChannelMessage { Version = 1, Kind = MessageKind.Connect, Detail32 = port, Value = 5 }, out FileDescriptor? socket);
        Assert.Equal((MessageKind.Connected, 5L), (answer.Kind, answer.Value));
        Assert.Equal(socket is null, answer.Detail32 != 0);
        return ((int)answer.Detail32, socket);
    }

    [Fact]
    public void APortLeadsToTheSocketThatIsNamedAfterIt()
    {
        using Socket listener = Listen(Place + "_80");
        (_, FileDescriptor? socket) = Ask(80);
        using (socket)
        {
            using Socket server = listener.Accept();
            Assert.Equal(2, socket!.Write("hi"u8));
            byte[] got = new byte[2];
            server.Receive(got);
            Assert.Equal("hi"u8.ToArray(), got);
        }
        Assert.Equal(Libc.ENOENT, Ask(8).Error);
        Assert.Equal(Libc.ENOENT, Ask(uint.MaxValue).Error);
    }

    [Fact]
    public void ALinkLeadsNowhereAndNeitherDoesAFile()
    {
        using Socket elsewhere = Listen(Path.Combine(_folder.FullName, "elsewhere"));
        File.CreateSymbolicLink(Place + "_80", Path.Combine(_folder.FullName, "elsewhere"));
        File.WriteAllText(Place + "_81", "");
        Assert.Equal(Libc.ENOTSOCK, Ask(80).Error);
        Assert.Equal(Libc.ENOTSOCK, Ask(81).Error);
    }

    [Fact]
    public void ASocketOfAnotherUserIsNoPermission()
    {
        Assert.SkipUnless(Libc.geteuid() == 0, "only root makes files of others");
        using Socket listener = Listen(Place + "_80");
        Chown(Place + "_80", 12345);
        Assert.Equal(Libc.EACCES, Ask(80).Error);
    }

    static unsafe void Chown(string path, uint user)
    {
        fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(path + '\0'))
            Assert.Equal(0, Libc.fchownat(Libc.AT_FDCWD, name, user, user, Libc.AT_SYMLINK_NOFOLLOW));
    }

    [Fact]
    public void WhereNobodyListensOrTakesIsRefusedWithoutWaiting()
    {
        Listen(Place + "_80").Dispose();
        using (Socket closed = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            closed.Bind(new UnixDomainSocketEndPoint(Place + "_81"));
        Assert.True(Ask(80).Error is Libc.ECONNREFUSED or Libc.ENOENT);
        using Socket full = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        full.Bind(new UnixDomainSocketEndPoint(Place + "_82"));
        full.Listen(0);
        var taken = new List<FileDescriptor?>();
        int error;
        do
        {
            (error, FileDescriptor? socket) = Ask(82);
            taken.Add(socket);
        }
        while (error == 0 && taken.Count < 100);
        Assert.Equal(Libc.EAGAIN, error);
        taken.ForEach(socket => socket?.Dispose());
    }

    [Fact]
    public void EachConnectionIsRecordedAsItWasDecided()
    {
        using Socket listener = Listen(Place + "_80");
        using (Ask(80).Socket)
            Assert.Equal(Libc.ENOENT, Ask(81).Error);
        Assert.Equal([("connect vsock 2:80", true, "allowed"), ("connect vsock 2:81", false, "denied ENOENT")],
            _decisions.Records.Select(record => (record.Request, record.Allowed, record.Result)));
        Assert.All(_decisions.Records, record => Assert.Equal(Place, Assert.IsType<DeviceRule>(record.Rule).From));
    }

    [Fact]
    public void WhatCannotBeRecordedIsNotConnected()
    {
        using Socket listener = Listen(Place + "_80");
        _decisions.HasRoom = false;
        Assert.Equal((Libc.EAGAIN, null), Ask(80));
        Assert.False(listener.Poll(0, SelectMode.SelectRead));
    }
}
