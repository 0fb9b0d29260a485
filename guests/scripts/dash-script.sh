#!/bin/dash
# POSIX shell: what a maintainer script does.
set -eu
list="one two three"
for word in $list; do printf '%s,' "$word"; done; echo
i=0
while [ "$i" -lt 5 ]; do i=$((i + 1)); [ "$i" -eq 3 ] && continue; echo "$i"; done
case "$list" in *two*) echo has two ;; esac
count() { echo "$#"; }
count "$list"; count $list
set -- "$@" x "y z"; echo "$#"; for a; do echo "[$a]"; done
cat <<END | sed 's/^/> /'
Dear $(echo reader),
	indented, $((3 * 4))
END
directory=$(mktemp -d)
trap 'rm -rf "$directory"; echo cleaned' EXIT
echo content > "$directory/file"
(cd "$directory" && cat file)
cat "$directory/file" | while read -r line; do echo "read: $line"; done
if grep -q content "$directory/file"; then echo found; fi
sleep 0.05 & wait $!; echo "waited $?"
{ echo first; echo second; } | { read -r a; read -r b; echo "$b $a"; }
eval "value=\$((10 / 3))"; echo "$value"
! false && echo negation
x=$(printf '%s' abc; exit 0); echo "${x#a} ${x%c} ${#x}"
: "${undefined:=set now}"; echo "$undefined"
(set +u; echo "${nothing}.")
(exit 42) || echo "status $?"
umask 027; touch "$directory/masked"; stat -c %a "$directory/masked"
ulimit -n | grep -c '[0-9]'
test -d "$directory" -a -w "$directory" && echo writable
kill -0 $$ && echo alive
sh -c 'trap "echo trapped" TERM; kill -TERM $$; echo after'
command -v cat
echo done
