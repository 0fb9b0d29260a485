using System.CommandLine;

namespace Sandbox.Supervisor.CommandLine;

static partial class CompletionScript
{
    static string Zsh(CommandModel model)
    {
        string rest = string.Join(" \\\n", model.FlagsOf(model.Root).Select(option => "        " + ZshFlag(option)));
        return $$"""
            #compdef sandbox
            # zsh completion for sandbox
            __sandbox_names() { compadd -- $(sh -c '{{PrintSandboxes}}') }
            _sandbox() {
                local curcontext=$curcontext state line
                local -a subcommands
                _arguments -C \
            {{rest}} \
                    '1:command:->command' \
                    '*::argument:->argument'
                case $state in
                command)
                    {{ZshCommands(model.Root)}} ;;
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
                        {{ZshArguments(model, model.Run.Command, "'*:program:(--)'")}} ;;
            {{string.Concat(model.Groups.Select(group => ZshGroup(model, group)))}}{{string.Concat(model.Root.Subcommands
                .Where(command => command != model.Run.Command && command.Subcommands.Count == 0).Select(command => ZshLeaf(model, command)))}}        esac ;;
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

    static string ZshCommands(Command group) =>
        $"subcommands=({string.Join(' ', group.Subcommands.Select(command => ZshWord($"{command.Name}:{command.Description}")))}); "
        + $"_describe -t commands {ZshWord($"{group.Name} command")} subcommands";

    /// <summary>A command that holds others: the same once more, with its own words.</summary>
    static string ZshGroup(CommandModel model, Command group) => $$"""
                {{group.Name}})
                    _arguments -C {{string.Join(' ', model.FlagsOf(group).Select(ZshFlag))}} '1:command:->verb' '*::argument:->argument'
                    case $state in
                    verb)
                        {{ZshCommands(group)}} ;;
                    argument)
                        case $line[1] in
        {{string.Concat(group.Subcommands.Select(verb => ZshLeaf(model, verb)))}}            esac ;;
                    esac ;;

        """;

    static string ZshLeaf(CommandModel model, Command command) =>
        $"            {command.Name}) {ZshArguments(model, command, string.Join(' ', command.Arguments.Select(argument => ZshArgument(model, argument))))} ;;\n";

    static string ZshArguments(CommandModel model, Command command, string arguments) =>
        $"_arguments {string.Join(" \\\n                ", model.FlagsOf(command).Select(ZshFlag).Append(arguments))}";

    static string ZshArgument(CommandModel model, Argument argument)
    {
        string offer = model.ValueOf(argument) switch
        {
            FlagValue.Choice => $"({string.Join(' ', Shells)})",
            FlagValue.Directory => "_path_files -/",
            FlagValue.Sandbox => "__sandbox_names",
            _ => "_files",
        };
        return ZshWord($"{(argument.Arity.MaximumNumberOfValues > 1 ? "*" : "")}:{argument.Name.TrimEnd('.').ToLowerInvariant()}:{offer}");
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
            FlagValue.Choice => $":{option.HelpName}:({string.Join(' ', CommandModel.ChoicesOf(option))})",
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
