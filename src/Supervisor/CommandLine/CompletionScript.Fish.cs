using System.CommandLine;
using System.Text;

namespace Sandbox.Supervisor.CommandLine;

static partial class CompletionScript
{
    static string Fish(CommandModel model)
    {
        var text = new StringBuilder("""
            # fish completion for sandbox
            function __sandbox_command
                # The sub-command typed so far, and nothing once the program has begun.
                set -l words (commandline -opc)
                contains -- -- $words; and return
                for word in $words[2..-1]
                    string match -q -- '-*' $word; or begin; echo $word; return; end
                end
                echo none
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
        foreach (Command command in model.Root.Subcommands)
            text.Append($"complete -c sandbox -n '__sandbox_in none' -a {command.Name} -d {FishWord(command.Description!)}\n");
        foreach (Option option in model.FlagsOf(model.Root))
            text.Append($"complete -c sandbox -n '__sandbox_in none'{FishFlag(option)}\n");
        foreach (Command command in model.Root.Subcommands)
            foreach (Option option in model.FlagsOf(command))
                text.Append($"complete -c sandbox -n '__sandbox_in {command.Name}'{FishFlag(option)}\n");
        foreach ((Command group, Command verb) in model.Groups.SelectMany(group => group.Subcommands.Select(verb => (group, verb))))
        {
            text.Append($"complete -c sandbox -n '__sandbox_in {group.Name}' -F -a {verb.Name} -d {FishWord(verb.Description!)}\n");
            foreach (Option option in verb.Options)
                text.Append($"complete -c sandbox -n '__sandbox_in {group.Name}'{FishFlag(option)}\n");
        }

        text.Append("complete -c sandbox -n '__sandbox_in run' -a -- -d 'the program follows'\n");
        text.Append($"complete -c sandbox -n '__sandbox_in completion' -a '{string.Join(' ', Shells)}'\n");
        return text.ToString();
    }

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
            FlagValue.OnOff => " -x -a 'on off'",
            FlagValue.Variable => " -x -a '(set -nx)'",
            _ => " -x",
        };
        return $"{names}{value} -d {FishWord(option.Description ?? "")}";
    }

    static string FishWord(string text) =>
        $"'{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal)}'";
}
