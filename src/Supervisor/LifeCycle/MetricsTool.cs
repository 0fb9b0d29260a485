using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Metrics;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// <c>sandbox inspect --metrics</c>: of a sandbox that runs what its VMM counts now, of one that has ended what it had
/// counted. A VMM that does not answer is said to be unresponsive, and what the host knows is printed all the same.
/// </summary>
static class MetricsTool
{
    public static int Run(string name)
    {
        using OpenedSandbox first = OpenedSandbox.Find(name);
        if (first.Listed.State != SandboxState.Running)
            return Print(first, first.Listed.State is SandboxState.Exited ? first.Folder.ReadCounts() : null);
        int error = Ask(first.Folder);
        if (error == 0)
            return Print(first, first.Folder.ReadCounts());
        // It may have ended meanwhile.
        using OpenedSandbox again = OpenedSandbox.Find(first.Id.ToString());
        if (error == -ESRCH || again.Listed.State == SandboxState.Exited)
            return Print(again, again.Folder.ReadCounts());
        StandardStreams.WriteError(Problem(error, again.Id));
        return Print(again, null);
    }

    /// <summary>
    /// What the VMM of a sandbox counts, or had counted when it was asked last; null, with a line on stderr, when it
    /// runs and does not answer.
    /// </summary>
    public static GuestRecord? Counts(OpenedSandbox sandbox)
    {
        if (sandbox.Listed.State != SandboxState.Running)
            return sandbox.Folder.ReadCounts();
        try
        {
            int error = Ask(sandbox.Folder);
            if (error is 0 or -ESRCH)
                return sandbox.Folder.ReadCounts();
            StandardStreams.WriteError(Problem(error, sandbox.Id));
        }
        catch (UsageException silent)
        {
            StandardStreams.WriteError($"warning: {silent.Message}");
        }

        return null;
    }

    /// <returns>0, -ESRCH when it has ended, or another negative error number.</returns>
    /// <exception cref="UsageException">The supervisor does not answer.</exception>
    static int Ask(StateFolder folder)
    {
        using ControlClient? client = ControlClient.Connect(folder);
        if (client is null)
            return -ESRCH;
        try
        {
            return client.Ask(ControlKind.Count) ? 0 : -ESRCH;
        }
        catch (HostException refused)
        {
            return -refused.Errno;
        }
    }

    internal static string Problem(int error, SandboxId id) => error switch
    {
        -ETIMEDOUT => $"warning: the VMM of {id} is unresponsive: it has not answered within "
            + $"{CountQuestion.AnswerMilliseconds} ms",
        -EBADMSG => $"warning: the VMM of {id} has answered with what is no record; nothing of it is shown",
        -EBUSY => $"warning: {id} is paused; its VMM can count nothing until sandbox resume {id}",
        _ => $"warning: the VMM of {id} could not be asked: {Errno.Describe(-error)}",
    };

    static int Print(OpenedSandbox sandbox, GuestRecord? counted)
    {
        SandboxRecord record = sandbox.Listed.Record
            ?? throw new UsageException(
                $"{sandbox.Id} " + (sandbox.Listed.IsAlive
                    ? "is starting"
                    : "has no record that this version can read; see sandbox gc"));
        bool isAlive = sandbox.Listed.IsAlive;
        var metrics = new SandboxMetrics(
            sandbox.Listed, isAlive ? InspectTool.Use(record) : default, isAlive ? InspectTool.Usage(record) : default,
            counted, HostClock.RealtimeNanoseconds() / 1_000_000);
        return StandardStreams.WriteOutput(metrics.Write()) ? 0 : ExitStatus.SandboxFailed;
    }
}
