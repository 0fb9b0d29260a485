#!/bin/bash
# Background jobs, wait, subshells, command and process substitution, coprocesses, timeouts.
sleep 0.05 & first=$!
(sleep 0.1; exit 7) & second=$!
wait "$first"; echo "first $?"
wait "$second"; echo "second $?"
for i in 1 2 3 4 5; do (sleep "0.0$i"; echo "job $i" > "job$i"; exit "$i") & done
wait
cat job1 job2 job3 job4 job5
(sleep 0.02; exit 3) & wait -n "$!"; echo "any: $?"
wait 999999 2>/dev/null; echo "no child: $?"
variable=outer
(variable=inner; echo "$variable"; cd /; exit 4); echo "$? $variable"
{ variable=group; }; echo "$variable"
[ "$BASHPID" = "$$" ] && echo "same"; ( [ "$BASHPID" = "$$" ] || echo "another in a subshell" )
diff <(seq 1 5) <(seq 1 2 5) ; echo "diff $?"
paste <(printf 'a\nb\n') <(printf '1\n2\n')
seq 1 10 > >(tail -n 1 > last.txt); sleep 0.1; wait; cat last.txt
coproc doubler { while read -r n; do echo $((n * 2)); done; }
echo 21 >&"${doubler[1]}"; read -r answer <&"${doubler[0]}"; echo "coprocess: $answer"
eval "exec ${doubler[1]}>&-"; wait "$doubler_PID" 2>/dev/null
sleep 10 & victim=$!
kill "$victim"; wait "$victim" 2>/dev/null; echo "terminated: $?"
sleep 10 & victim=$!
kill -KILL "$victim"; wait "$victim" 2>/dev/null; echo "killed: $?"
timeout 0.1 sleep 10; echo "timeout: $?"
timeout -s KILL 0.1 sleep 10; echo "timeout with KILL: $?"
echo "$(echo "$(echo "$(echo deep)")")"
output=$(for i in $(seq 1 2000); do echo "line $i"; done); echo "${#output}"
(trap '' TERM; sleep 0.2; echo survived) & survivor=$!
sleep 0.05; kill -TERM "$survivor"; wait "$survivor"
xargs -P 4 -I{} sh -c 'echo item {}' < <(seq 1 20) | sort -V | tail -n 3
exec 3< <(echo from a descriptor); cat <&3
nohup echo detached 2>/dev/null
setsid sh -c 'echo own session'
nice -n 3 sh -c 'nice'
env -i A=1 env
sh -c 'kill -9 $$'; echo "sh: $?"
sh -c 'exit 300'; echo "wrapped: $?"
command -v nothing-like-this; echo "command: $?"
nothing-like-this 2>/dev/null; echo "not found: $?"
./five.txt 2>/dev/null; echo "missing: $?"
: > plain; ./plain 2>/dev/null; echo "not executable: $?"
