using System.Net;
using System.Net.Sockets;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Network;
using Sandbox.Supervisor.Tests.Network;
using Xunit;
using static Sandbox.Host.Libc;
using static Sandbox.Supervisor.Tests.FakeVmm;

namespace Sandbox.Supervisor.Tests;

/// <summary>What a user's other processes have on their way ends no guest of his.</summary>
[Collection(nameof(Alone))]
public sealed class CrowdedUserTests
{
    static Outcome Run(FakeVmm fake, Action? whenStarted = null, VsockServices? services = null)
    {
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", O_RDWR);
        using VmmProcess vmm = VmmProcess.Start(fake.Program, nowhere, JailWalls.NoNewPrivileges);
        vmm.Confirm();
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        return new Session(vmm, SessionTests.Plan, signals)
        {
            Services = services,
            WhenStarted = _ =>
            {
                whenStarted?.Invoke();
                return true;
            },
        }.Run([]);
    }

    [Fact]
    public void AStartWaitsForThem() => CrowdedUser.Run(() =>
    {
        using var fake = new FakeVmm($"{TakeMessage} >start; {Send(MessageKind.Started)}; {Send(MessageKind.Ended, EndCause.Exited, 3)}");
        using var crowd = new CrowdedUser();
        using var later = new Timer(_ => crowd.Dispose(), null, 300, Timeout.Infinite);
        Assert.Equal(new Outcome.Ended(EndCause.Exited, 0, 3, 0), Run(fake));
    });

    [Fact]
    public void AConnectionThatCannotBeSentIsRefused() => CrowdedUser.Run(() =>
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("vsock-");
        string path = Path.Combine(folder.FullName, "s");
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path + "_0"));
        listener.Listen();
        using var fake = new FakeVmm($"{TakeMessage} >start; {Send(MessageKind.Started)}; {Send(MessageKind.Connect, value: 9)}; "
            + $"{TakeMessage} >answer; {Send(MessageKind.Ended, EndCause.Exited)}");
        CrowdedUser? crowd = null;
        try
        {
            Outcome outcome = Run(fake, whenStarted: () => crowd = new CrowdedUser(), services: new VsockServices(VsockServicesTests.Rule(path)));
            Assert.IsType<Outcome.Ended>(outcome);
        }
        finally
        {
            crowd?.Dispose();
            folder.Delete(recursive: true);
        }

        // EMFILE, and the number of the request.
        Assert.Equal("0100000006000000" + "0000000018000000" + "0900000000000000" + "0000000000000000", fake.Read("answer"));
    });

    [Fact]
    public void ASocketThatCannotBeSentIsRefused() => CrowdedUser.Run(() =>
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        server.Start();
        ushort port = (ushort)((IPEndPoint)server.LocalEndpoint).Port;
        (FileDescriptor mine, FileDescriptor theirs) = SeqpacketChannel.CreatePair();
        using var vmm = new SeqpacketChannel(theirs);
        NetworkGrant grant = NetworkGrant.Prepare(
            Policies.Model($"network:\n- {{allow: connect, to: 127.0.0.1, port: {port}}}\n"), static _ => (-ENOENT, []))!;
        using var broker = new NetworkBroker(grant, new SeqpacketChannel(mine));
        int[] errors = [.. ((bool[])[true, false]).Select(isCrowded =>
        {
            using CrowdedUser? crowd = isCrowded ? new CrowdedUser() : null;
            vmm.Send(new NetworkRequest
            {
                Version = NetworkChannel.Version, Number = 1, Action = (uint)NetworkAction.Connect,
                Protocol = (uint)NetworkProtocol.Tcp, Endpoint = NetworkEndpoint.Of(IPAddress.Loopback, port),
            });
            Assert.True(broker.Serve(out string? problem), problem);
            Assert.True(vmm.Receive(out NetworkAnswer answer, 1, out FileDescriptor[] sockets));
            Assert.Equal(isCrowded ? 0 : 1, sockets.Length);
            Array.ForEach(sockets, socket => socket.Dispose());
            return answer.Error;
        })];
        Assert.Equal([EMFILE, 0], errors);
    });
}
