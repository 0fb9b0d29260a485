using System.CommandLine;

namespace Sandbox.Supervisor.CommandLine;

static partial class CompletionScript
{
    static string Zsh(CommandModel model)
    {
        string commands = string.Join('\n', model.Root.Subcommands.Select(command =>
            $"        {ZshWord($"{command.Name}:{command.Description}")}"));
        string run = string.Join(" \\\n", model.FlagsOf(model.Run.Command).Select(option => "            " + ZshFlag(option)));
        string rest = string.Join(" \\\n", model.FlagsOf(model.Root).Select(option => "        " + ZshFlag(option)));
        string groups = string.Concat(model.Groups.Select(group =>
            $"        {group.Name}) _arguments '1:verb:({string.Join(' ', group.Subcommands.Select(verb => verb.Name))})' '*:file:_files' ;;\n"));
        return $$"""
            #compdef sandbox
            # zsh completion for sandbox
            _sandbox() {
                local curcontext=$curcontext state line
                local -a subcommands
                subcommands=(
            {{commands}}
                )
                _arguments -C \
            {{rest}} \
                    '1:command:->command' \
                    '*::argument:->argument'
                case $state in
                command) _describe -t commands 'sandbox command' subcommands ;;
                argument)
                    case $line[1] in
                    run)
                        local -i end=${words[(ie)--]}
                        if ((CURRENT > end)); then
                            shift $end words
                            ((CURRENT -= end))
                            _normal
                            return
                        fi
                        _arguments \
            {{run}} \
                            '*:program:(--)' ;;
            {{groups}}                    completion) _arguments '1:shell:({{string.Join(' ', Shells)}})' ;;
                    *) _arguments {{string.Join(' ', Names(model.Help).Select(name => ZshWord($"{name}[{model.Help.Description}]")))}} ;;
                    esac ;;
                esac
            }
            # Loaded from fpath the file is the function's body; sourced, it registers itself.
            if [[ $funcstack[1] == _sandbox ]]; then
                _sandbox "$@"
            else
                compdef _sandbox sandbox
            fi

            """;
    }

    static string ZshFlag(Option option)
    {
        string[] names = [.. Names(option)];
        bool repeated = option.Arity.MaximumNumberOfValues > 1;
        string mark = repeated ? "*" : names.Length > 1 ? $"({string.Join(' ', names)})" : "";
        string value = CommandModel.ValueOf(option) switch
        {
            FlagValue.None => "",
            FlagValue.File or FlagValue.OptionalFile => ":file:_files",
            FlagValue.Directory => ":folder:_files -/",
            FlagValue.OnOff => ":on or off:(on off)",
            FlagValue.Variable => ":variable:_parameters -g '*export*'",
            _ => $":{option.HelpName!.Replace(":", "\\:", StringComparison.Ordinal)}:",
        };
        string equals = CommandModel.ValueOf(option) == FlagValue.OptionalFile ? "=-::" : value.Length > 0 ? "=" : "";
        if (equals.EndsWith(':'))
            (equals, value) = ("=-", ":" + value);
        string what = (option.Description ?? "").Replace("[", "\\[", StringComparison.Ordinal)
            .Replace("]", "\\]", StringComparison.Ordinal).Replace(":", "\\:", StringComparison.Ordinal);
        return string.Join(' ', names.Select(name => ZshWord($"{mark}{name}{equals}[{what}]{value}")));
    }

    static string ZshWord(string text) => $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
