using System.CommandLine;

namespace Sandbox.Supervisor.CommandLine;

static partial class CompletionScript
{
    // Bash cuts words at '=' and ':' (COMP_WORDBREAKS), so --trace=f arrives as three words and a:b as three more.
    static string Bash(CommandModel model)
    {
        Command run = model.Run.Command;
        string commands = string.Join(' ', model.Root.Subcommands.Select(command => command.Name));
        string flags = string.Concat(model.Root.Subcommands.Where(command => command != model.Completion).Select(command =>
            $"        {command.Name}) words='{string.Join(' ', Words(model, command))}' ;;\n"));
        return $$"""
            # bash completion for sandbox
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
                    *) [[ -z $command ]] && command=${COMP_WORDS[i]} ;;
                    esac
                done
                if [[ $current == = ]]; then
                    current=
                elif [[ $previous == = ]] && ((COMP_CWORD > 2)); then
                    previous=${COMP_WORDS[COMP_CWORD-2]}
                fi
                if [[ $command == run ]]; then
                    case $previous in
                    {{NamesOf(model, run, FlagValue.File)}}|:) compopt -o filenames; COMPREPLY=($(compgen -f -- "$current")); return ;;
                    {{NamesOf(model, run, FlagValue.OptionalFile)}})
                        if [[ $current != -* ]]; then
                            compopt -o filenames; COMPREPLY=($(compgen -f -- "$current")); return
                        fi ;;
                    {{NamesOf(model, run, FlagValue.Directory)}}) compopt -o filenames; COMPREPLY=($(compgen -d -- "$current")); return ;;
                    {{NamesOf(model, run, FlagValue.OnOff)}}) COMPREPLY=($(compgen -W 'on off' -- "$current")); return ;;
                    {{NamesOf(model, run, FlagValue.Variable)}}) COMPREPLY=($(compgen -e -- "$current")); return ;;
                    {{NamesOf(model, run, FlagValue.Text)}}) return ;;
                    esac
                fi
                case $command in
                    '') words='{{commands}} {{string.Join(' ', Words(model, model.Root))}}' ;;
            {{flags}}        completion) words='{{string.Join(' ', Shells)}} {{string.Join(' ', Words(model, model.Completion))}}' ;;
                esac
                [[ $command == run && -z $current ]] && words+=' --'
                COMPREPLY=($(compgen -W "$words" -- "$current"))
                if [[ $command == @({{string.Join('|', model.Groups.Select(group => group.Name))}}) && ${#COMPREPLY[@]} -eq 0 ]]; then
                    compopt -o filenames; COMPREPLY=($(compgen -f -- "$current"))
                fi
                [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
                return 0
            }
            complete -F _sandbox sandbox

            """;
    }
}
