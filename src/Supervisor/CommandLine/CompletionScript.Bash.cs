using System.CommandLine;
using System.Text;

namespace Sandbox.Supervisor.CommandLine;

static partial class CompletionScript
{
    // Bash cuts words at '=' and ':' (COMP_WORDBREAKS), so --trace=f arrives as three words and a:b as three more.
    static string Bash(CommandModel model)
    {
        string groups = string.Concat(model.Groups.Select(group =>
            $"        {group.Name}) words='{CommandNames(group)} {string.Join(' ', Words(model, group))}' ;;\n"));
        return $$"""
            # bash completion for sandbox
            __sandbox_names() { sh -c '{{PrintSandboxes}}'; }
            _sandbox() {
                local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
                local command= words= i
                COMPREPLY=()
                for ((i = 1; i < COMP_CWORD; i++)); do
                    case ${COMP_WORDS[i]} in
                    --)
                        if declare -F _command_offset > /dev/null; then
                            _command_offset $((i + 1))
                        elif ((COMP_CWORD == i + 1)); then
                            COMPREPLY=($(compgen -c -- "$current"))
                        else
                            COMPREPLY=($(compgen -f -- "$current"))
                        fi
                        return ;;
                    -*) ;;
                    *)
                        case $command in
                        '') command=${COMP_WORDS[i]} ;;
                        {{GroupNames(model, '|')}}) command+=" ${COMP_WORDS[i]}" ;;
                        esac ;;
                    esac
                done
                if [[ $current == = ]]; then
                    current=
                elif [[ $previous == = ]] && ((COMP_CWORD > 2)); then
                    previous=${COMP_WORDS[COMP_CWORD-2]}
                fi
                case $command in
                    '') words='{{CommandNames(model.Root)}} {{string.Join(' ', Words(model, model.Root))}}' ;;
            {{groups}}{{string.Concat(model.Leaves.Select(leaf => BashLeaf(model, leaf.Path, leaf.Command)))}}    esac
                [[ $command == run && -z $current ]] && words+=' --'
                COMPREPLY=($(compgen -W "$words" -- "$current"))
                [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
                return 0
            }
            complete -F _sandbox sandbox

            """;
    }

    /// <summary>What may follow a command: the value of the flag before, a flag, or one of its arguments.</summary>
    static string BashLeaf(CommandModel model, string path, Command command)
    {
        var text = new StringBuilder($"        '{path}')\n            case $previous in\n");
        foreach (IGrouping<string, Option> same in model.FlagsOf(command).Where(option => CommandModel.ValueOf(option) != FlagValue.None)
            .GroupBy(option => BashOffer(CommandModel.ValueOf(option), option)))
        {
            // Behind a colon stands the guest's half of a mount.
            string colon = same.Any(option => option.Name == "--mount") ? "|:" : "";
            text.Append($"            {string.Join('|', same.SelectMany(Names))}{colon}) {same.Key} ;;\n");
        }

        text.Append("            esac\n");
        if (command.Arguments is [Argument argument, ..])
        {
            string offer = model.ValueOf(argument) switch
            {
                FlagValue.Choice => $"words='{string.Join(' ', Shells)}'",
                FlagValue.Sandbox => "words=$(__sandbox_names)",
                var value => BashFiles(value),
            };
            text.Append($"            if [[ $current != -* ]]; then {offer}; else words='{string.Join(' ', Words(model, command))}'; fi ;;\n");
        }
        else
            text.Append($"            words='{string.Join(' ', Words(model, command))}' ;;\n");
        return text.ToString();
    }

    static string BashOffer(FlagValue value, Option option) => value switch
    {
        FlagValue.File or FlagValue.Directory => BashFiles(value),
        FlagValue.OptionalFile => $"if [[ $current != -* ]]; then {BashFiles(FlagValue.File)}; fi",
        FlagValue.Choice => $"COMPREPLY=($(compgen -W '{string.Join(' ', CommandModel.ChoicesOf(option))}' -- \"$current\")); return",
        FlagValue.Variable => "COMPREPLY=($(compgen -e -- \"$current\")); return",
        _ => "return",
    };

    static string BashFiles(FlagValue value) =>
        $"compopt -o filenames; COMPREPLY=($(compgen {(value == FlagValue.Directory ? "-d" : "-f")} -- \"$current\")); return";
}
