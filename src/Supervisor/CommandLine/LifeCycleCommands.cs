using System.CommandLine;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>The commands for sandboxes that run already, or that have ended and are kept.</summary>
sealed class LifeCycleCommands
{
    public LifeCycleCommands() => Ps = new Command("ps", "List the sandboxes that run") { All, Json };

    public Command Ps { get; }

    public Option<bool> All { get; } = new("--all") { Description = "those too that have ended", Arity = ArgumentArity.Zero };
    public Option<bool> Json { get; } = new("--json") { Description = "print JSON", Arity = ArgumentArity.Zero };
}
