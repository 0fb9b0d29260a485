#!/bin/bash
# Traps: signals, EXIT, ERR, DEBUG, RETURN, in shells and subshells.
trap 'echo "got USR1"' USR1
kill -USR1 $$
trap 'echo "got TERM"' TERM
(sleep 0.05; kill -TERM $$) &
sleep 0.2
wait
trap '' INT; kill -INT $$; echo "INT ignored"
bash -c 'kill -INT $$; echo "still ignored in a child"'
trap - INT
bash -c 'trap "echo bye" EXIT; exit 3'; echo "status $?"
bash -c 'trap "echo cleanup; exit 9" TERM; kill -TERM $$; sleep 1'; echo "status $?"
bash -c 'trap "echo err at \$LINENO" ERR; false; true'
bash -c 'set -e; trap "echo exit" EXIT; false; echo unreachable'; echo "status $?"
bash -c 'f() { trap "echo returned" RETURN; echo inside; }; f'
bash -c 'trap "echo parent" USR1; (kill -USR1 $BASHPID; echo unreachable); echo "subshell $?"'
bash -c 'trap "echo chld" CHLD; sleep 0.05 & wait; true' | sort -u
bash -c 'sleep 5 & trap "kill $!; echo forwarded; exit 0" TERM; (sleep 0.1; kill -TERM $$) & wait %1'
bash -c 'trap "echo alarm; exit 1" ALRM; (sleep 0.1; kill -ALRM $$) & while :; do :; done'; echo "loop ended with $?"
bash -c 'trap "echo pipe" PIPE; printf "%s\n" $(seq 1 100000) 2>/dev/null | head -n 1'
trap 'echo "at the end $?"' EXIT
trap -p USR1
(exit 5)
exit 6
