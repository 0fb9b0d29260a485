# zsh -f try.zsh SCRIPT LINE: prints what zsh offers at the end of LINE once SCRIPT is loaded, one to a line.
zmodload zsh/zpty || exit 2
rc=$(mktemp) || exit 2
cat >$rc <<'RC'
PROMPT= RPS1=
stty -echo
autoload -Uz compinit
compinit -u -D
compadd() {
    # Calls with -O, -A or -D only ask what would match.
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a hits
    builtin compadd -A hits "$@"
    (( $#hits )) && print -rl -- "<"${^hits}">"
    builtin compadd "$@"
}
offer() { _main_complete; print; print THE-END; exit }
zle -C offer complete-word offer
bindkey '^X' offer
print READY
RC
zpty z "zsh -f -i"
zpty -w z "source $rc; source $1; print LOADED"
while zpty -r z chunk; do [[ $chunk == *LOADED* && $chunk != *print* ]] && break; done
zpty -w -n z "$2"$'\C-X'
out=
while zpty -r z chunk; do
    out+=$chunk
    [[ $chunk == *THE-END* ]] && break
done
print -r -- $out | tr -d '\r' | grep -o '<[^<>]*>' | tr -d '<>'
zpty -d z
rm -f $rc
