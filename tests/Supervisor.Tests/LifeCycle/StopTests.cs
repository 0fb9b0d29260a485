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

/// <summary>sandbox stop of what does not let itself be stopped.</summary>
public class StopTests
{
    static VmmProcess Start(FakeVmm fake)
    {
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", O_RDWR);
        VmmProcess vmm = VmmProcess.Start(fake.Program, nowhere, JailWalls.NoNewPrivileges);
        vmm.Confirm();
        return vmm;
    }

    /// <summary>Its queue is full, so that no signal can be passed on.</summary>
    [Fact]
    public void AVmmThatReadsNothingIsKilledWhenItsTimeIsOver()
    {
        using var place = new ScratchPlace();
        using var fake = new FakeVmm($"{TakeMessage} >start; {Send(MessageKind.Started)}; exec sleep 60");
        using VmmProcess vmm = Start(fake);
        using var state = new RunState(new RunOptions { Arguments = ["true"] }, place.Path);
        var launch = new PlannedLaunch(SessionTests.Plan, []);
        Assert.Null(state.Publish(FakeHost.DefaultPolicy, launch, vmm, ExpectedJail.Of(vmm, launch, [])));
        StateFolder folder = state.Folder!;
        Exception? failure = null;
        var stopper = new Thread(() => failure = Record.Exception(() =>
        {
            using (ControlClient client = ControlClient.Connect(folder)!)
            {
                HostException? full = null;
                for (int i = 0; i < 10_000 && full is null; i++)
                    full = Record.Exception(() => client.Ask(ControlKind.Signal, SIGUSR1)) as HostException;
                Assert.Equal(EAGAIN, full!.Errno);
            }

            using OpenedSandbox sandbox = OpenedSandbox.Find(new StateOwner(geteuid(), [place.Path]), state.Id.ToString());
            LifeCycleTool.Stop(sandbox, 200);
        }));
        stopper.Start();
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        Assert.IsType<Outcome.Killed>(new Session(vmm, SessionTests.Plan, signals) { State = state }.Run([]));
        state.Control!.End(137);
        stopper.Join();
        Assert.Null(failure);
    }

    [Fact]
    public void AGuestThatGoesOnHasResumedWhateverBecomesOfItsRecord()
    {
        using var fake = new FakeVmm("exec sleep 60");
        using VmmProcess vmm = Start(fake);
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        var guest = new ControlledVmm(vmm, signals, null, null, static paused => paused ? 0 : -ENOSPC);
        Assert.Equal(0, guest.Pause());
        Assert.True(signals.IsPaused);
        Assert.Equal(0, guest.Resume());
        Assert.False(signals.IsPaused);
    }
}
