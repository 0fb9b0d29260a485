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

/// <summary>What becomes of a request for memory on its way to a VMM.</summary>
public class BalloonSessionTests
{
    static readonly LaunchPlan s_machine = SessionTests.Plan with
    {
        Machine = new GuestMachine
        {
            Kernel = 0, Initrd = -1, CommandLine = "", Disks = [], Taps = [], Agent = false, Random = null, Vsock = -1,
            Balloon = true, VirtioConsole = false,
        },
    };

    /// <summary>Asks in turn, then ends the guest.</summary>
    /// <returns>The answers, and what the VMM was told, as hexadecimal digits.</returns>
    static (int[] Answers, string Told) Ask(LaunchPlan plan, params (ControlKind Kind, long Value)[] requests)
    {
        using var place = new ScratchPlace();
        using var fake = new FakeVmm(
            $"{TakeMessage} >start; {Send(MessageKind.Started)}; while :; do {TakeMessage} >>told; echo >>told; done");
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", O_RDWR);
        using VmmProcess vmm = VmmProcess.Start(fake.Program, nowhere, JailWalls.NoNewPrivileges);
        vmm.Confirm();
        using var state = new RunState(new RunOptions { Arguments = ["true"] }, place.Path);
        var launch = new PlannedLaunch(plan, []);
        Assert.Null(state.Publish(FakeHost.DefaultPolicy, launch, vmm, ExpectedJail.Of(vmm, launch, [])));
        var answers = new int[requests.Length];
        Exception? failure = null;
        StateFolder folder = state.Folder!;
        var asker = new Thread(() => failure = Record.Exception(() =>
        {
            for (int i = 0; i < requests.Length; i++)
                answers[i] = Answer(folder, requests[i].Kind, requests[i].Value);
            if (answers.Contains(0))
                SpinWait.SpinUntil(() => File.Exists(Path.Combine(fake.Folder, "told")) && fake.Read("told").Contains('\n', StringComparison.Ordinal), 10_000);
            Answer(folder, ControlKind.Kill, 0);
        }));
        asker.Start();
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        Assert.IsType<Outcome.Killed>(new Session(vmm, plan, signals) { State = state }.Run([]));
        asker.Join();
        Assert.Null(failure);
        return (answers, File.Exists(Path.Combine(fake.Folder, "told")) ? fake.Read("told") : "");
    }

    static int Answer(StateFolder folder, ControlKind kind, long value)
    {
        using ControlClient client = ControlClient.Connect(folder)!;
        try
        {
            return client.Ask(kind, value) ? 0 : -ESRCH;
        }
        catch (HostException refused)
        {
            return -refused.Errno;
        }
    }

    [Fact]
    public void AVmmIsToldWhatItsGuestIsToGiveBack()
    {
        (int[] answers, string told) = Ask(s_machine, (ControlKind.Balloon, 0x30000));
        Assert.Equal([0], answers);
        Assert.StartsWith("0100000007000000" + "0000000000000000" + "0000030000000000", told, StringComparison.Ordinal);
    }

    [Fact]
    public void MoreThanTheGuestHasIsNotPassedOn()
    {
        long all = (long)s_machine.Limits.MemoryBytes;
        (int[] answers, _) = Ask(s_machine, (ControlKind.Balloon, all + 1), (ControlKind.Balloon, long.MaxValue), (ControlKind.Balloon, all));
        Assert.Equal([-ERANGE, -ERANGE, 0], answers);
    }

    [Fact]
    public void AGuestWithoutABalloonIsToldNothing()
    {
        foreach (LaunchPlan plan in (LaunchPlan[])[SessionTests.Plan, s_machine with { Machine = s_machine.Machine! with { Balloon = false } }])
        {
            (int[] answers, string told) = Ask(plan, (ControlKind.Balloon, 0));
            Assert.Equal([-EOPNOTSUPP], answers);
            Assert.Equal("", told);
        }
    }
}
