# zsh -f complete.zsh SCRIPT LINE...: prints what zsh offers at the end of each LINE once SCRIPT is loaded, one to a line, and
# behind those of each a line with >.
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
# Nothing is put into the line, and no list is shown.
offer() { _main_complete; compstate[insert]= compstate[list]=; print; print THE-END }
zle -C offer complete-word offer
# A key with which no longer sequence begins: zsh would wait for the rest.
bindkey '^T' offer
print READY
RC
zpty z "zsh -f -i"
zpty -w z "source $rc; source $1; print LOADED"
while zpty -r z chunk; do [[ $chunk == *LOADED* && $chunk != *print* ]] && break; done
for line in "${@:2}"; do
    # Instead of the line before.
    zpty -w -n z $'\C-U'"$line"$'\C-T'
    out=
    while zpty -r z chunk; do
        out+=$chunk
        [[ $chunk == *THE-END* ]] && break
    done
    print -r -- $out | tr -d '\r' | grep -o '<[^<>]*>' | tr -d '<>'
    print -r -- '>'
done
zpty -d z
rm -f $rc
