#!/bin/bash
# The language: arrays, expansions, functions, arithmetic, globbing, case, loops, printf.
array=(zero one 'two words' three)
array+=(four)
echo "${#array[@]} ${array[2]} ${array[-1]} ${array[*]:1:2}"
unset 'array[1]'
echo "${!array[@]}"
declare -A map=([red]=1 [green]=2 [blue]=3)
for key in $(printf '%s\n' "${!map[@]}" | sort); do echo "$key=${map[$key]}"; done
text=/usr/share/doc/file.tar.gz
echo "${text##*/} ${text%.*} ${text%%.*} ${text/doc/DOC} ${text^^} ${#text} ${text:5:5}"
echo "${unset_variable:-default} ${unset_variable:+alternative}|"
factorial() { local n=$1; ((n <= 1)) && echo 1 || echo $((n * $(factorial $((n - 1))))); }
factorial 10
fibonacci() { if (($1 < 2)); then echo "$1"; else echo $(($(fibonacci $(($1 - 1))) + $(fibonacci $(($1 - 2))))); fi; }
fibonacci 8
touch a1 a2 b1 .hidden
echo a* [ab]1 ?1 nothing*
shopt -s nullglob dotglob extglob
echo nothing* | wc -w
echo !(b1|a*|*.sh|*.txt)
for ((i = 0; i < 3; i++)); do printf '%02d|%-5s|%5.2f|%x\n' "$i" "s$i" "$i.5" $((i * 100)); done
case "some text" in *text) echo ends in text ;; *) echo no ;; esac
[[ "abc123" =~ ^([a-z]+)([0-9]+)$ ]] && echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
echo {1..5} {a..e} x{1,2}y
echo $((16#ff)) $((2 ** 40)) $((-7 / 2)) $((-7 % 3)) $((1 << 10 | 3))
read -r first rest <<< "one two three"; echo "[$first] [$rest]"
IFS=: read -ra parts <<< "a:b:c"; echo "${#parts[@]} ${parts[1]}"
mapfile -t lines < <(seq 1 4); echo "${lines[*]}"
until ((${counter:=0} >= 3)); do echo "counter $((counter++))"; done
printf -v formatted '%s-%s' x y; echo "$formatted"
declare -i number=5; number+=6; echo "$number"
set -- a "b c" d; echo "$# $2"; shift; echo "$*"
eval 'echo "evaluated $((1 + 1))"'
echo "$(< a1)empty"
declare -n reference=text; echo "$reference"
local_test() { local inner=1; echo "$inner ${FUNCNAME[0]}"; }; local_test; echo "${inner:-gone}"
printf '%s\n' "${BASH_VERSINFO[0]}" | grep -c '^[0-9]'
printf '%q %b\n' "it's" 'tab\there'
echo "${array[@]/#/prefix-}"
