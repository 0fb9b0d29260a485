using System.Diagnostics;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Planning;
using Xunit;
using static Sandbox.Host.Libc;
using static Sandbox.Supervisor.Tests.FakeVmm;

namespace Sandbox.Supervisor.Tests.LifeCycle;

/// <summary>
/// A VMM that asks for connections without end, and has shut down the way back, so that no answer fills its queue:
/// nothing else is kept waiting by it.
/// </summary>
public class FloodingSessionTests
{
    /// <summary>It ends by itself: a session that hears nothing else must not hear it for ever.</summary>
    const int FloodSeconds = 15;

    const int Messages = 4096;

    static Outcome Run(LaunchPlan plan, Action<StateFolder>? meanwhile = null)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/perl"), "there is no perl");
        using var place = new ScratchPlace();
        using var fake = new FakeVmm($"""
            {TakeMessage} >start
            {Send(MessageKind.Started)}
            perl -e 'shutdown(STDIN, 0) or die' <&3 || exit 1
            while [ $SECONDS -lt {FloodSeconds} ]; do dd if=requests bs={ChannelMessage.Size} >&3 2>/dev/null; done
            """);
        var request = new ChannelMessage { Version = ChannelMessage.CurrentVersion, Kind = MessageKind.Connect };
        byte[] requests = [.. Enumerable.Repeat(MemoryMarshal.AsBytes([request]).ToArray(), Messages).SelectMany(bytes => bytes)];
        File.WriteAllBytes(Path.Combine(fake.Folder, "requests"), requests);
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", O_RDWR);
        using VmmProcess vmm = VmmProcess.Start(fake.Program, nowhere, JailWalls.NoNewPrivileges);
        vmm.Confirm();
        using var state = new RunState(new RunOptions { Arguments = ["true"] }, place.Path);
        var launch = new PlannedLaunch(plan, []);
        Assert.Null(state.Publish(FakeHost.DefaultPolicy, launch, vmm, ExpectedJail.Of(vmm, launch, [])));
        StateFolder folder = state.Folder!;
        Exception? failure = null;
        var other = new Thread(() => failure = Record.Exception(() => meanwhile?.Invoke(folder)));
        other.Start();
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        var session = new Session(vmm, plan, signals)
        {
            State = state, Services = new VsockServices(VsockServicesTests.Rule("/nowhere/guest.sock")),
        };
        Outcome outcome = session.Run([]);
        other.Join();
        Assert.Null(failure);
        return outcome;
    }

    [Fact]
    public void TheWallClockLimitHolds()
    {
        LaunchPlan plan = SessionTests.Plan with { Limits = SessionTests.Plan.Limits with { WallMilliseconds = 1000 } };
        var clock = Stopwatch.StartNew();
        Assert.IsType<Outcome.WallTimeEnforced>(Run(plan));
        Assert.InRange(clock.Elapsed.TotalSeconds, 1, FloodSeconds - 1);
    }

    [Fact]
    public void WhoAsksForItsEndIsHeard()
    {
        Assert.IsType<Outcome.Killed>(Run(SessionTests.Plan, folder =>
        {
            // In the midst of it.
            Thread.Sleep(1500);
            using ControlClient client = ControlClient.Connect(folder)!;
            Assert.True(client.Ask(ControlKind.Kill));
        }));
    }
}
