using System.Diagnostics;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Planning;
using Sandbox.Supervisor.Tests.LifeCycle;
using Xunit;
using static Sandbox.Host.Libc;
using static Sandbox.Supervisor.Tests.FakeVmm;

namespace Sandbox.Supervisor.Tests.Metrics;

/// <summary>A whole session whose VMM answers as it likes when somebody asks what it has counted.</summary>
public class CountingSessionTests
{
    static readonly string s_good = Send(MessageKind.Counted, value: 1);

    /// <summary>Runs the script once the question has come.</summary>
    /// <param name="asks">In another thread, while the session lasts.</param>
    static Outcome Run(string script, Action<StateFolder> asks, GuestRecord? written = null)
    {
        using var place = new ScratchPlace();
        using var fake = new FakeVmm($"{TakeMessage} >start; {Send(MessageKind.Started)}; {TakeMessage} >asked; {script}; exec sleep 60");
        using FileDescriptor nowhere = FileDescriptor.Open("/dev/null", O_RDWR);
        using VmmProcess vmm = VmmProcess.Start(fake.Program, nowhere, JailWalls.NoNewPrivileges);
        vmm.Confirm();
        using FileDescriptor counts = GuestRecordFile.Create();
        if (written is GuestRecord record)
            counts.WriteAt(GuestRecordFile.Bytes(record), 0);
        using var state = new RunState(new RunOptions { Arguments = ["true"] }, place.Path);
        var launch = new PlannedLaunch(SessionTests.Plan, []);
        Assert.Null(state.Publish(FakeHost.DefaultPolicy, launch, vmm, ExpectedJail.Of(vmm, launch, [])));
        StateFolder folder = state.Folder!;
        Exception? failure = null;
        var asker = new Thread(() =>
        {
            try
            {
                asks(folder);
            }
            catch (Exception caught)
            {
                failure = caught;
            }
        });
        asker.Start();
        using SignalForwarder signals = SignalForwarder.Start(vmm, null);
        Outcome outcome = new Session(vmm, SessionTests.Plan, signals) { State = state, Counts = counts }.Run([]);
        state.Control!.End(0);
        asker.Join();
        Assert.Null(failure);
        Assert.StartsWith("0100000005000000", fake.Read("asked"), StringComparison.Ordinal);
        return outcome;
    }

    static void End(StateFolder folder)
    {
        using ControlClient client = ControlClient.Connect(folder)!;
        Assert.True(client.Ask(ControlKind.Kill));
    }

    /// <returns>0 or the negative error number of the answer.</returns>
    static int Ask(StateFolder folder)
    {
        using ControlClient client = ControlClient.Connect(folder)!;
        try
        {
            return client.Ask(ControlKind.Count) ? 0 : -ESRCH;
        }
        catch (HostException refused)
        {
            return -refused.Errno;
        }
    }

    [Fact]
    public void WhatAVmmHasCountedIsKept() =>
        Assert.IsType<Outcome.Killed>(Run(s_good, folder =>
        {
            Assert.Null(folder.ReadCounts());
            Assert.Equal(0, Ask(folder));
            Assert.Equal(12UL, folder.ReadCounts()!.Value.OutputBytes);
            End(folder);
        }, GuestRecords.Process()));

    [Fact]
    public void AVmmThatDoesNotAnswerKeepsNobodyWaiting() =>
        Assert.IsType<Outcome.Killed>(Run("true", folder =>
        {
            var clock = Stopwatch.StartNew();
            Assert.Equal(-ETIMEDOUT, Ask(folder));
            Assert.InRange(clock.ElapsedMilliseconds, CountQuestion.AnswerMilliseconds - 1, 4 * CountQuestion.AnswerMilliseconds);
            Assert.Null(folder.ReadCounts());
            End(folder);
        }));

    [Fact]
    public void LiesAreNotKeptAndEndNothing()
    {
        GuestRecord lie = GuestRecords.Machine();
        lie.Devices[0].QueueCount = 1UL << 40;
        Assert.IsType<Outcome.Killed>(Run(s_good, folder =>
        {
            Assert.Equal(-EBADMSG, Ask(folder));
            Assert.Null(folder.ReadCounts());
            End(folder);
        }, lie));
    }

    public static TheoryData<string, string> HostileAnswers => new()
    {
        { "another number", Send(MessageKind.Counted, value: 2) },
        { "another version", Send(MessageKind.Counted, value: 1, version: 2) },
        { "twice", $"{s_good}; {s_good}" },
        { "a flood", $"for i in $(seq 1000); do {s_good}; done 2>/dev/null" },
        { "too short", "printf 12345 >&3" },
        { "too long", "head -c 40000 /dev/zero >&3 2>/dev/null" },
    };

    [Theory, MemberData(nameof(HostileAnswers))]
    public void AVmmThatBreaksTheRulesIsEnded(string what, string answer)
    {
        Assert.NotEmpty(what);
        Assert.IsType<Outcome.VmmMisbehaved>(Run(answer, folder => Ask(folder), GuestRecords.Process()));
    }
}
