using System.CommandLine;
using System.CommandLine.Help;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Kernels;
using Sandbox.Supervisor.PolicyTools;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>The whole command line: what parsing, help and completion are all derived from.</summary>
sealed class CommandModel
{
    public const string ProgramName = "sandbox";

    public CommandModel()
    {
        Policy = new PolicyCommand(Run);
        Shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish", Arity = ArgumentArity.ExactlyOne };
        Completion = new Command("completion", "Print a completion script for bash, zsh or fish") { Shell };
        Root = new Command(ProgramName, "Run untrusted Linux programs, each in a KVM virtual machine of its own")
        {
            Run.Command, Help, VersionFlag,
        };
        foreach (Command command in (Command[])[.. LifeCycle.Commands, Policy.Command, Audit.Command, Kernels.Command,
            Doctor, Version, Completion])
            Root.Add(command);
    }

    public Command Root { get; }
    public RunCommand Run { get; } = new();
    public LifeCycleCommands LifeCycle { get; } = new();
    public PolicyCommand Policy { get; }
    public AuditCommand Audit { get; } = new();
    public KernelCommand Kernels { get; } = new();
    public Command Doctor { get; } = new("doctor", "Say whether guests can run here, and what to do if not");
    public Command Version { get; } = new("version", "Print the version");
    public Command Completion { get; }
    public Argument<string> Shell { get; }
    public HelpOption Help { get; } = new("--help", "-h") { Description = "Show help for a command", Recursive = true };
    public Option<bool> VersionFlag { get; } = new("--version")
        { Description = "Print the version", Arity = ArgumentArity.Zero };

    /// <summary>
    /// No response files (an argument that begins with @ is a file name here) and no bundling of short flags.
    /// </summary>
    public static ParserConfiguration Configuration { get; } = new()
    {
        EnablePosixBundling = false,
        ResponseFileTokenReplacer = null,
    };

    /// <summary>The flags a command takes, its parents' included, in the order help shows them.</summary>
    public IEnumerable<Option> FlagsOf(Command command) => command == Root ? Root.Options : [.. command.Options, Help];

    /// <summary>The group that a command is in; null for the others.</summary>
    public Command? GroupOf(Command command) => Groups.FirstOrDefault(group => group.Subcommands.Contains(command));

    /// <summary>What completion may offer for the value of a flag.</summary>
    public static FlagValue ValueOf(Option option) => option.Name switch
    {
        "--append" when option.HelpName == "TEXT" => FlagValue.Text,
        "--json" when option.Arity.MaximumNumberOfValues == 0 => FlagValue.None,
        "--mount" or "--json" or "--policy" or "--junit" or "--key" or "--out" or "--signature" or "--trust" or "--head"
            or "--append" or "--kernel" or "--initrd" or "--root" =>
            FlagValue.File,
        "--trace" => FlagValue.OptionalFile,
        "--handoff" or "--format" => FlagValue.Choice,
        "--workdir" or "--modules" => FlagValue.Directory,
        "--env" => FlagValue.Variable,
        _ when option.Arity.MaximumNumberOfValues == 0 || option is HelpOption => FlagValue.None,
        _ => FlagValue.Text,
    };

    /// <summary>What completion may offer for an argument.</summary>
    public FlagValue ValueOf(Argument argument)
    {
        if (argument == LifeCycle.Sandbox || argument == LifeCycle.Sandboxes)
            return FlagValue.Sandbox;
        if (argument == Shell)
            return FlagValue.Choice;
        if (argument == Audit.Id || argument == Kernels.Kept)
            return FlagValue.Text;
        return argument == Policy.Folder ? FlagValue.Directory : FlagValue.File;
    }

    public static IReadOnlyList<string> ChoicesOf(Option option) =>
        option.Name == "--handoff" ? ["on", "off"] : PolicyCommand.ReportFormats;

    /// <summary>Commands that do something, with the words that name them.</summary>
    public IEnumerable<(string Path, Command Command)> Leaves =>
        Root.Subcommands.SelectMany(command => command.Subcommands.Count == 0
        ? [(command.Name, command)]
        : command.Subcommands.Select(verb => ($"{command.Name} {verb.Name}", verb)));

    /// <summary>Commands that only hold others.</summary>
    public IEnumerable<Command> Groups => Root.Subcommands.Where(command => command.Subcommands.Count > 0);
}

/// <summary>Kinds of flag values, as far as completion can help with them.</summary>
enum FlagValue
{
    /// <summary>The flag takes no value.</summary>
    None,
    Text,
    File,
    /// <summary>A file, and only as --flag=FILE.</summary>
    OptionalFile,
    Directory,
    /// <summary>One of a few words: <see cref="CommandModel.ChoicesOf(Option)"/>.</summary>
    Choice,
    /// <summary>The name of an environment variable.</summary>
    Variable,
    /// <summary>A sandbox: its ID or name. Completion offers the IDs.</summary>
    Sandbox,
}
