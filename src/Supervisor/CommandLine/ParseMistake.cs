using System.CommandLine;
using System.CommandLine.Parsing;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>Turns what System.CommandLine found wrong into this program's one-line form.</summary>
static class ParseMistake
{
    public static UsageException Describe(CommandModel model, ParseResult result)
    {
        Command command = result.CommandResult.Command;
        string help = command == model.Root ? "sandbox --help" : $"sandbox {command.Name} --help";
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
        string name = flag && token.IndexOf('=', StringComparison.Ordinal) is > 0 and int equals ? token[..equals] : token;
        string advice = Closest(name, known) is string closest ? $"did you mean {closest}? See {help}" : $"see {help}";
        if (flag)
            return $"unknown flag {Quote.Value(name)}; {advice}";
        if (command == model.Root)
            return $"unknown command {Quote.Value(token)}; {advice}";
        if (command == model.Run.Command)
            return $"run: {Quote.Value(token)} is not a flag; put -- before the program, as in: sandbox run -- ls -l";
        return $"{command.Name}: unexpected argument {Quote.Value(token)}; {advice}";
    }

    static string OneLine(string message) => string.Join(' ', message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries)).TrimEnd('.');

    /// <summary>The nearest of the known names, if it is near enough to be what was meant.</summary>
    public static string? Closest(string word, IEnumerable<string> known)
    {
        if (word.Length > 64)
            return null;
        (string? Name, int Distance) best = (null, int.MaxValue);
        foreach (string name in known)
        {
            int distance = Distance(word, name);
            if (distance < best.Distance)
                best = (name, distance);
        }

        // One slip for each four letters, so that -x is not taken for -t.
        return best.Distance <= Math.Max(word.Length, best.Name?.Length ?? 0) / 4 + (word.Length > 2 ? 1 : 0) ? best.Name : null;
    }

    /// <summary>Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.</summary>
    static int Distance(string a, string b)
    {
        int[,] cost = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
            cost[i, 0] = i;
        for (int j = 0; j <= b.Length; j++)
            cost[0, j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int replace = cost[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                cost[i, j] = Math.Min(replace, Math.Min(cost[i - 1, j], cost[i, j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    cost[i, j] = Math.Min(cost[i, j], cost[i - 2, j - 2] + 1);
            }
        }

        return cost[a.Length, b.Length];
    }
}
