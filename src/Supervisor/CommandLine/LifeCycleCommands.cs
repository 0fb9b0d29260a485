using System.CommandLine;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>The commands for sandboxes that run already, or that have ended and are kept.</summary>
sealed class LifeCycleCommands
{
    public LifeCycleCommands()
    {
        Ps = new Command("ps", "List the sandboxes that run") { All, Json, User };
        Inspect = new Command("inspect", "Say what is known of a sandbox: policy, walls, limits, usage")
            { Sandbox, Json, Metrics, User };
        Logs = new Command("logs", "Print what a detached sandbox wrote") { Sandbox, Follow, Raw };
        Stop = new Command("stop", "Ask a sandbox to end, and end it if it does not") { Sandboxes, Time };
        Kill = new Command("kill", "End a sandbox at once, or send its program a signal") { Sandboxes, Signal };
        Pause = new Command("pause", "Let a sandbox stand still") { Sandboxes };
        Resume = new Command("resume", "Let a paused sandbox go on") { Sandboxes };
        Balloon = new Command("balloon", "Have a machine guest give back so much of its memory") { Sandbox, Size };
        Wait = new Command("wait", "Wait for a sandbox's end, and exit as its program did") { Sandbox };
        Remove = new Command("rm", "Forget sandboxes that have ended") { Sandboxes };
        Clean = new Command("gc", "Remove all that is left of sandboxes that do not run") { Images };
        Commands = [Ps, Inspect, Logs, Stop, Kill, Pause, Resume, Balloon, Wait, Remove, Clean];
    }

    /// <summary>In the order that help shows them.</summary>
    public IReadOnlyList<Command> Commands { get; }

    public Command Ps { get; }
    public Command Inspect { get; }
    public Command Logs { get; }
    public Command Stop { get; }
    public Command Kill { get; }
    public Command Pause { get; }
    public Command Resume { get; }
    public Command Balloon { get; }
    public Command Wait { get; }
    public Command Remove { get; }
    public Command Clean { get; }

    /// <summary>An ID, the beginning of one, or a name.</summary>
    public Argument<string> Sandbox { get; } = new("SANDBOX") { Arity = ArgumentArity.ExactlyOne };

    /// <inheritdoc cref="Sandbox"/>
    public Argument<string[]> Sandboxes { get; } = new("SANDBOX...") { Arity = ArgumentArity.OneOrMore };

    /// <summary>Of the balloon, in all.</summary>
    public Argument<string> Size { get; } = new("SIZE") { Arity = ArgumentArity.ExactlyOne };

    public Option<bool> All { get; } = new("--all", "-a")
        { Description = "those too that have ended", Arity = ArgumentArity.Zero };
    public Option<bool> Images { get; } =
        new("--images") { Description = "the images, too, that directories were packed into (run --root)",
            Arity = ArgumentArity.Zero };
    public Option<bool> Json { get; } = new("--json") { Description = "print JSON", Arity = ArgumentArity.Zero };
    public Option<bool> Metrics { get; } = new("--metrics")
        { Description = "print what is counted, as OpenMetrics text", Arity = ArgumentArity.Zero };
    public Option<string> User { get; } =
        new("--user", "-u") { HelpName = "USER", Description = "root: the sandboxes of this user, by name or number" };
    public Option<bool> Follow { get; } = new("--follow", "-f")
        { Description = "go on until the sandbox ends", Arity = ArgumentArity.Zero };
    public Option<bool> Raw { get; } = new("--raw")
        { Description = "control characters to a terminal, too, as they are", Arity = ArgumentArity.Zero };
    public Option<string> Time { get; } = new("--time", "-t")
        { HelpName = "TIME", Description = "how long to wait before it is ended (default 10s)" };
    public Option<string> Signal { get; } = new("--signal", "-s")
        { HelpName = "SIGNAL", Description = "a name or a number (default KILL, which ends it for certain)" };
}
