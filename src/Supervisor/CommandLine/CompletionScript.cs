using System.CommandLine;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>
/// Completion scripts, written out from the model once and sourced by the shell: completing never starts the program.
/// </summary>
static partial class CompletionScript
{
    public static IReadOnlyList<string> Shells { get; } = ["bash", "zsh", "fish"];

    public static string For(CommandModel model, string shell) => shell switch
    {
        "bash" => Bash(model),
        "zsh" => Zsh(model),
        "fish" => Fish(model),
        _ => throw new UsageException(
            $"completion: {Quote.Value(shell)} is not a shell that scripts exist for; name bash, zsh or fish"),
    };

    static IEnumerable<string> Names(Option option) => option.Aliases.Append(option.Name);

    /// <summary>Flags as typed: those with an optional value are offered both ways.</summary>
    static IEnumerable<string> Words(CommandModel model, Command command) =>
        VerbsOf(model, command).Concat(model.FlagsOf(command).Concat(VerbFlags(model, command)).DistinctBy(option => option.Name).SelectMany(option =>
            CommandModel.ValueOf(option) == FlagValue.OptionalFile ? Names(option).Append(option.Name + "=") : Names(option)));

    /// <summary>What follows a command that has commands of its own.</summary>
    static IEnumerable<string> VerbsOf(CommandModel model, Command command) =>
        command == model.Root ? [] : command.Subcommands.Select(verb => verb.Name);

    static IEnumerable<Option> VerbFlags(CommandModel model, Command command) =>
        command == model.Root ? [] : command.Subcommands.SelectMany(verb => verb.Options);

    static string NamesOf(CommandModel model, Command command, FlagValue value) =>
        string.Join('|', model.FlagsOf(command).Where(option => CommandModel.ValueOf(option) == value).SelectMany(Names));
}
