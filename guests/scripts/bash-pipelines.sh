#!/bin/bash
# Pipelines, their statuses, redirections, and here-documents.
printf 'pear\napple\nfig\n' | sort | head -n 2 | tr a-z A-Z
seq 1 1000 | grep 7 | wc -l
true | false | true
echo "statuses: ${PIPESTATUS[*]}"
set -o pipefail
false | true
echo "pipefail: $?"
set +o pipefail
yes | head -n 100000 | wc -c
echo "yes ended by: $(yes | head -n 1 >/dev/null; echo "${PIPESTATUS[0]}")"
name=world
cat <<END
Hello, $name: $((6 * 7)) $(echo nested)
END
cat <<'END'
No $expansion `here`
END
cat <<-END
	tabs are gone
	END
tr '[:lower:]' '[:upper:]' <<< "here string"
{ echo out; echo err >&2; } 2>&1 | sort
{ echo one; echo two >&2; } 2>/dev/null
exec 5> five.txt
echo "through five" >&5
exec 5>&-
cat five.txt
echo appended >> five.txt
wc -l < five.txt
cat < five.txt > copy.txt; cmp five.txt copy.txt && echo same
ls nothing-here 2> error.txt; echo "ls: $?"; test -s error.txt && echo "it complained"
exec 6<> both.txt; echo "read back" >&6; cat both.txt; exec 6>&-
seq 1 5 | while read -r number; do echo -n "$number "; done; echo
seq 1 200000 | tail -n 1
(exit 3) | cat; echo "${PIPESTATUS[0]}"
! true; echo "negated $?"
echo a | tee tee1.txt tee2.txt | cat - tee1.txt > /dev/null; cat tee2.txt
