using System.CommandLine;
using System.Text;

namespace Sandbox.Supervisor.CommandLine;

static partial class CompletionScript
{
    static string Fish(CommandModel model)
    {
        var text = new StringBuilder($$"""
            # fish completion for sandbox
            function __sandbox_names
                sh -c '{{PrintSandboxes.Replace("\\", "\\\\", StringComparison.Ordinal)}}'
            end
            function __sandbox_command
                # The commands typed so far, and nothing once the program has begun.
                set -l words (commandline -opc)
                contains -- -- $words; and return
                set -l found
                for word in $words[2..-1]
                    string match -q -- '-*' $word; and continue
                    set -a found $word
                    test (count $found) = 1; and contains -- $word {{GroupNames(model, ' ')}}; or break
                end
                test (count $found) = 0; and echo none; or echo "$found"
            end
            function __sandbox_in
                test (__sandbox_command | string collect -a) = $argv[1]
            end
            function __sandbox_program
                contains -- -- (commandline -opc)
            end
            function __sandbox_complete_program
                set -l words (commandline -opc)
                set -l end (contains -i -- -- $words)
                set -l rest (string escape -- $words[(math $end + 1)..-1])
                complete -C (string join ' ' -- $rest (commandline -ct))
            end
            complete -c sandbox -f
            complete -c sandbox -n __sandbox_program -a '(__sandbox_complete_program)'

            """);
        FishGroup(text, model, model.Root, "none");
        foreach (Command group in model.Groups)
            FishGroup(text, model, group, group.Name);
        foreach ((string path, Command command) in model.Leaves)
        {
            foreach (Option option in model.FlagsOf(command))
                text.Append($"{FishLine(path)}{FishFlag(option)}\n");
            if (command.Arguments is [Argument argument, ..])
                text.Append($"{FishLine(path)}{FishArgument(model, argument)}\n");
        }

        text.Append($"{FishLine("run")} -a -- -d 'the program follows'\n");
        return text.ToString();
    }

    static string FishLine(string path) => $"complete -c sandbox -n '__sandbox_in \"{path}\"'";

    static void FishGroup(StringBuilder text, CommandModel model, Command group, string path)
    {
        foreach (Command command in group.Subcommands)
            text.Append($"{FishLine(path)} -a {command.Name} -d {FishWord(command.Description!)}\n");
        foreach (Option option in model.FlagsOf(group))
            text.Append($"{FishLine(path)}{FishFlag(option)}\n");
    }

    static string FishArgument(CommandModel model, Argument argument) => model.ValueOf(argument) switch
    {
        FlagValue.Choice => $" -a '{string.Join(' ', Shells)}'",
        FlagValue.Directory => " -a '(__fish_complete_directories)'",
        FlagValue.Sandbox => " -a '(__sandbox_names)'",
        _ => " -F",
    };

    static string FishFlag(Option option)
    {
        string names = string.Concat(Names(option).Select(name =>
            name.StartsWith("--", StringComparison.Ordinal) ? $" -l {name[2..]}" : $" -s {name[1..]}"));
        string value = CommandModel.ValueOf(option) switch
        {
            FlagValue.None => "",
            FlagValue.OptionalFile => " -F",
            FlagValue.File => " -r -F",
            FlagValue.Directory => " -x -a '(__fish_complete_directories)'",
            FlagValue.Choice => $" -x -a '{string.Join(' ', CommandModel.ChoicesOf(option))}'",
            FlagValue.Variable => " -x -a '(set -nx)'",
            _ => " -x",
        };
        return $"{names}{value} -d {FishWord(option.Description ?? "")}";
    }

    static string FishWord(string text) =>
        $"'{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal)}'";
}
