using System.CommandLine;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Images;
using Sandbox.Supervisor.Kernels;
using Sandbox.Supervisor.Launch;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>The commands for sandboxes that run, or that have ended and are kept. Exit status: 0, or 125.</summary>
static class LifeCycleTool
{
    const long StopMilliseconds = 10_000;

    /// <summary>A VMM that is killed ends, unless the host is in trouble.</summary>
    const int KillMilliseconds = 10_000;

    /// <exception cref="UsageException">There is no such sandbox, or it is in no state for that.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public static int Run(LifeCycleCommands model, ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        if (command == model.Ps)
            return PsTool.Run(
                StateOwner.Named(parsed.GetValue(model.User)), parsed.GetValue(model.All), parsed.GetValue(model.Json));
        if (command == model.Clean)
            return Clean(parsed.GetValue(model.Images));
        if (command == model.Inspect)
            return Inspect(model, parsed);
        if (command == model.Logs)
            return LogsTool.Run(
                parsed.GetRequiredValue(model.Sandbox), parsed.GetValue(model.Follow), parsed.GetValue(model.Raw));
        if (command == model.Balloon)
            return SetBalloon(parsed.GetRequiredValue(model.Sandbox), parsed.GetRequiredValue(model.Size));
        if (command == model.Wait)
            return Wait(parsed.GetRequiredValue(model.Sandbox));
        Action<OpenedSandbox> action = Action(model, parsed, command);
        return ForEach(parsed.GetRequiredValue(model.Sandboxes), action);
    }

    /// <summary>What cannot be done to one is told, and done to the others all the same.</summary>
    static int ForEach(string[] sandboxes, Action<OpenedSandbox> action)
    {
        int status = 0;
        foreach (string sandbox in sandboxes)
            try
            {
                using OpenedSandbox opened = OpenedSandbox.Find(sandbox);
                action(opened);
            }
            catch (Exception mistake) when (mistake is UsageException or HostException)
            {
                StandardStreams.WriteError(mistake.Message);
                status = ExitStatus.SandboxFailed;
            }

        return status;
    }

    static int Inspect(LifeCycleCommands model, ParseResult parsed)
    {
        string name = parsed.GetRequiredValue(model.Sandbox);
        bool json = parsed.GetValue(model.Json);
        StateOwner owner = StateOwner.Named(parsed.GetValue(model.User));
        if (!parsed.GetValue(model.Metrics))
            return InspectTool.Run(owner, name, json);
        if (!owner.IsOwn)
            throw new UsageException(
                "inspect: --metrics asks a supervisor, which root does not do with another user's; "
                + "leave --metrics or --user out");
        return json
            ? throw new UsageException("inspect: --json and --metrics are two forms of what is known; choose one")
            : MetricsTool.Run(name);
    }

    static Action<OpenedSandbox> Action(LifeCycleCommands model, ParseResult parsed, Command command)
    {
        if (command == model.Stop)
        {
            long time = parsed.GetValue(model.Time) is string text
                ? Duration.ParseMilliseconds(model.Time.Name, text)
                : StopMilliseconds;
            return sandbox => Stop(sandbox, (int)Math.Min(time, int.MaxValue));
        }

        if (command == model.Kill)
        {
            int signal = parsed.GetValue(model.Signal) is not string name ? SIGKILL : SignalNames.Parse(name)
                ?? throw new UsageException($"{model.Signal.Name}: {Quote.Value(name)} is no signal; write a name, as "
                    + "TERM, or a number from 1 to 64");
            return sandbox => Kill(sandbox, signal);
        }

        if (command == model.Remove)
            return Remove;
        return command == model.Pause
            ? static sandbox => Ask(sandbox, ControlKind.Pause)
            : static sandbox => Ask(sandbox, ControlKind.Resume);
    }

    static void Ask(OpenedSandbox sandbox, ControlKind kind, long value = 0)
    {
        using ControlClient supervisor = sandbox.Connect() ?? throw sandbox.HasEnded;
        if (supervisor.Ask(kind, value))
            return;
        sandbox.ExpectEnd(supervisor);
        throw sandbox.HasEnded;
    }

    static int SetBalloon(string name, string size)
    {
        ulong bytes = ByteSize.Parse("balloon", size);
        using OpenedSandbox sandbox = OpenedSandbox.Find(name);
        try
        {
            Ask(sandbox, ControlKind.Balloon, (long)bytes);
            return 0;
        }
        catch (HostException refused)
        {
            throw new UsageException($"balloon: {sandbox.Id} {BalloonProblem(refused.Errno, size)}");
        }
    }

    internal static string BalloonProblem(int errno, string size) => errno switch
    {
        EOPNOTSUPP => "has no balloon; only a machine guest has one, whose policy lists 'device: balloon'",
        ERANGE => $"has less memory than {Quote.Value(size)}; sandbox inspect says how much",
        EBUSY => "is paused; resume it first: sandbox resume",
        EAGAIN => "has a VMM that is unresponsive: it does not read what it is told",
        _ => $"was not told: {Errno.Describe(errno)}",
    };

    static void Kill(OpenedSandbox sandbox, int signal)
    {
        if (signal != SIGKILL)
        {
            Ask(sandbox, ControlKind.Signal, signal);
            return;
        }

        using ControlClient supervisor = sandbox.Connect() ?? throw sandbox.HasEnded;
        supervisor.AskForEnd();
        supervisor.Ask(ControlKind.Kill);
        AwaitDeath(sandbox, supervisor);
    }

    static void AwaitDeath(OpenedSandbox sandbox, ControlClient supervisor)
    {
        if (!supervisor.WaitForEnd(KillMilliseconds, out _))
            throw new UsageException($"{sandbox.Id} was killed, and has not ended after {KillMilliseconds / 1000} s; "
                + "is the host overloaded?");
        sandbox.ExpectEnd(supervisor);
    }

    /// <summary>One that has ended already is stopped.</summary>
    /// <param name="milliseconds">Before it is ended; 0 for as long as it takes.</param>
    internal static void Stop(OpenedSandbox sandbox, int milliseconds)
    {
        using ControlClient? supervisor = sandbox.Connect();
        if (supervisor is null)
            return;
        try
        {
            // A guest that stands still does not hear.
            if (!supervisor.Ask(ControlKind.Resume) || !supervisor.Ask(ControlKind.Signal, SIGTERM))
            {
                sandbox.ExpectEnd(supervisor);
                return;
            }
        }
        catch (HostException) when (milliseconds != 0)
        {
            // A VMM that does not read cannot be told, and is ended when its time is over.
        }

        supervisor.AskForEnd();
        if (supervisor.WaitForEnd(milliseconds == 0 ? -1 : milliseconds, out _))
        {
            sandbox.ExpectEnd(supervisor);
            return;
        }

        supervisor.Ask(ControlKind.Kill);
        AwaitDeath(sandbox, supervisor);
    }

    static int Wait(string name)
    {
        using OpenedSandbox sandbox = OpenedSandbox.Find(name);
        using ControlClient? supervisor = sandbox.Connect();
        supervisor?.AskForEnd();
        int? status = null;
        supervisor?.WaitForEnd(-1, out status);
        if (supervisor is not null && status is null)
            sandbox.ExpectEnd(supervisor);
        // What its supervisor did not live to say may be in its record.
        RecordedEnd? end = sandbox.Folder.Read()?.End;
        if (end?.Line is string line)
            StandardStreams.WriteError(Quote.Printable(line));
        return status ?? end?.Status ?? throw new UsageException(sandbox.Folder.IsRemoved
            ? $"{sandbox.Id} has just ended, and its exit status was not kept"
            : $"{sandbox.Id} has no exit status: its supervisor was killed, and the guest died with it");
    }

    static void Remove(OpenedSandbox sandbox)
    {
        int error = Leftovers.Remove(sandbox.Place, sandbox.Id, keptToo: true);
        if (error == -EBUSY)
            throw new UsageException($"rm: {sandbox.Id} runs; stop it first: sandbox stop {sandbox.Id}");
        if (error != 0)
            throw new HostException(-error, "rm", $"{StatePlace.Path}/{sandbox.Id}");
    }

    static int Clean(bool imagesToo)
    {
        int status = 0;
        using FileDescriptor? place = StateList.OpenPlace(StatePlace.Path);
        if (place is not null)
            foreach (SandboxId id in StateList.Ids(StatePlace.Path))
            {
                int error = Leftovers.Remove(place, id, keptToo: true);
                if (error == 0)
                    StandardStreams.WriteOutput($"{id}\n");
                else if (error != -EBUSY)
                {
                    StandardStreams.WriteError($"gc: {StatePlace.Path}/{id}: {Errno.Describe(-error)}");
                    status = ExitStatus.SandboxFailed;
                }
            }

        // Of those that were killed before they had a record.
        Leftovers.RemoveGroups();
        ImageCache.OwnIfAny?.RemoveUnfinished();
        KernelStore.OwnIfAny?.RemoveUnfinished();
        if (imagesToo)
            StandardStreams.WriteOutput($"images: {ByteSize.Format((ulong)ImageCache.Own.Clear())}\n");
        return status;
    }
}
