using System.CommandLine;
using System.CommandLine.Parsing;
using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>Turns what System.CommandLine found wrong into this program's one-line form.</summary>
static class ParseMistake
{
    public static UsageException Describe(CommandModel model, ParseResult result)
    {
        Command command = result.CommandResult.Command;
        string within = model.GroupOf(command) is Command around ? $"{around.Name} " : "";
        string help = command == model.Root ? "sandbox --help" : $"sandbox {within}{command.Name} --help";
        if (result.UnmatchedTokens is [string token, ..])
            return new UsageException(Unmatched(model, command, token, help));

        ParseError error = result.Errors[0];
        if (error.SymbolResult is OptionResult { Option: Option option } flag)
        {
            string name = flag.IdentifierToken?.Value ?? option.Name;
            if (flag.Tokens.Count == 0)
                return new UsageException($"{name}: a value is missing; write {name} {option.HelpName}; see {help}");
            if (flag.Tokens.Count > 1)
                return new UsageException($"{name}: given {flag.Tokens.Count} times; give it once");
        }

        if (model.Groups.Contains(command))
            return new UsageException($"{command.Name}: no command given; see {help}");
        if (model.GroupOf(command) is Command group)
            return new UsageException($"{group.Name} {command.Name}: name "
                + $"{string.Join(" and ", command.Arguments.Select(argument => argument.Name))}; see sandbox "
                + $"{group.Name} --help");
        if (model.LifeCycle.Commands.Contains(command) && command.Arguments.Count > 0)
        {
            string size = command == model.LifeCycle.Balloon ? ", and SIZE, as in 256M" : "";
            return new UsageException($"{command.Name}: name a sandbox, by its ID or its name{size}; see {help}");
        }

        if (command == model.Root)
            return new UsageException($"no command given; try sandbox run -- ls -l, or see {help}");
        if (command == model.Completion)
            return new UsageException("completion: name one shell: bash, zsh or fish");
        return new UsageException($"{OneLine(error.Message)}; see {help}");
    }

    static string Unmatched(CommandModel model, Command command, string token, string help)
    {
        bool flag = token.StartsWith('-');
        IEnumerable<string> known = flag
            ? model.FlagsOf(command).SelectMany(option => option.Aliases.Append(option.Name))
            : command.Subcommands.Select(child => child.Name);
        string name = flag && token.IndexOf('=', StringComparison.Ordinal) is > 0 and int equals
            ? token[..equals]
            : token;
        string advice = Closest.Name(name, known) is string closest
            ? $"did you mean {closest}? See {help}"
            : $"see {help}";
        if (flag)
            return $"unknown flag {Quote.Value(name)}; {advice}";
        if (command.Subcommands.Count > 0)
            return $"unknown command {Quote.Value(token)}; {advice}";
        if (command == model.Run.Command)
            return $"run: {Quote.Value(token)} is not a flag; put -- before the program, as in: sandbox run -- ls -l";
        return $"{(model.GroupOf(command) is Command group ? $"{group.Name} " : "")}{command.Name}: unexpected "
            + $"argument {Quote.Value(token)}; {advice}";
    }

    static string OneLine(string message) =>
        string.Join(' ', message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries)).TrimEnd('.');
}
