#!/bin/bash
# grep, sed, awk and the tools that go with them, on generated text.
export LC_ALL=C
awk 'BEGIN { for (i = 1; i <= 3000; i++) printf "%d name%d %s line\n", i, (i * 7919) % 1000, i % 3 ? "odd" : "third" }' > data
wc data; md5sum data
grep -c third data; grep -n '^2999' data; grep -E 'name(1|2)[0-9] ' data | head -n 3; grep -v odd data | tail -n 1
grep -o 'name[0-9]*' data | sort | uniq -c | sort -rn | head -n 3
grep -rl third . ; grep -F 'name5 ' data; grep -w name77 data; grep -A1 -B1 '^50 ' data; grep -q absent data; echo "$?"
grep -P 'name\d{3} (?=third)' data | wc -l
sed -n '5,7p' data; sed 's/name\([0-9]*\)/<\1>/; /third/d' data | head -n 4; sed '$!d' data; sed -e '1~1000!d' data
sed -i.bak 's/line/LINE/' data; tail -n 1 data; cmp -s data data.bak || echo changed
sed ':a;N;$!ba;s/\n/,/g' <(seq 1 10); sed 'y/abc/xyz/;s/x/&&/g' <<< abcabc
awk '{ sum += $1; count[$3]++ } END { print sum; for (k in count) print k, count[k] | "sort"; }' data
awk -F'[ :]' 'NR % 500 == 0 { print NR, toupper($2), length($0), substr($4, 2) }' data
awk 'BEGIN { while ("seq 1 3" | getline n) print n * n; system("echo from system"); printf "%.3f %c %e\n", atan2(0, -1), 65, 12345.678 }'
awk 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(20) }'
sort -k2,2 -k1,1nr data | head -n 3; sort -t' ' -k1,1 -R --random-source=data data | wc -l; sort -u -k3,3 data | wc -l
sort --parallel=2 -S 1M data | md5sum; sort -c <(seq 1 9 ) && echo sorted
cut -d' ' -f1,3 data | paste -sd, | cut -c1-40; tr -s 'l' < data | head -n 1; tr -d '0-9\n' < data | wc -c; tac data | head -n 1
join <(sort data | head -n 100) <(sort data.bak | head -n 100) | wc -l; comm -12 <(seq 1 9 | sort) <(seq 5 15 | sort) | paste -sd' '
uniq -d <(printf 'a\na\nb\n'); nl data | sed -n 3p; fold -w 20 <<< 'a line that is longer than twenty'; expand <<< $'a\tb'; fmt -w 30 <<< 'several words that must be wrapped somewhere'
split -l 1000 data part-; ls part-*; cat part-* | cmp - data && echo whole; csplit -s data 100 200; wc -l xx00 xx01 xx02
head -c 10000 data | base64 | md5sum; head -c 1000 data | base64 | base64 -d | cmp - <(head -c 1000 data) && echo round trip
od -A d -t x1 -N 32 data; xxd -l 16 data 2>/dev/null || hexdump -C -n 16 data; strings -n 8 data | wc -l
diff <(head -n 5 data) <(head -n 5 data.bak) | head -n 4; diff -u <(seq 1 4) <(seq 2 5) | tail -n +3; cmp data data.bak | cut -d, -f2
rev <<< stressed; column -t <<< $'a bbb c\naaa b c'; shuf -i 1-100 --random-source=data | sort -n | md5sum; factor 1234567890; numfmt --to=iec 123456789; expr 6 \* 7; bc <<< '2^100' 2>/dev/null || python3 -c 'print(2**100)'
