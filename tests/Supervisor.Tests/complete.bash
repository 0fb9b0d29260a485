# bash complete.bash SCRIPT WORD...: prints what bash offers for the last word once SCRIPT is loaded, one to a line.
# Words are as bash cuts them: it cuts at = and : too.
source "$1"
shift
# Outside of a real completion this built-in refuses to work.
compopt() { :; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$* COMPREPLY=()
COMP_POINT=${#COMP_LINE}
_sandbox
printf '%s\n' "${COMPREPLY[@]}"
