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

    /// <summary>
    /// For sh: prints the IDs and names of this user's sandboxes, from where they are on record. What shells would expand
    /// is no part of either.
    /// </summary>
    const string PrintSandboxes =
        """for place in /run/sandbox "$XDG_RUNTIME_DIR/sandbox" "$HOME/.local/state/sandbox/run" "/tmp/sandbox-$(id -u)"; do sed -nE "s/^(id|name) ([A-Za-z0-9_.-]+)$/\2/p" "$place"/*/record 2>/dev/null; done""";

    static IEnumerable<string> Names(Option option) => option.Aliases.Append(option.Name);

    /// <summary>Flags as typed: those with an optional value are offered both ways.</summary>
    static IEnumerable<string> Words(CommandModel model, Command command) => model.FlagsOf(command).SelectMany(option =>
        CommandModel.ValueOf(option) == FlagValue.OptionalFile ? Names(option).Append(option.Name + "=") : Names(option));

    static string CommandNames(Command group) => string.Join(' ', group.Subcommands.Select(command => command.Name));

    static string GroupNames(CommandModel model, char separator) => string.Join(separator, model.Groups.Select(group => group.Name));
}
