#!/bin/bash
# coreutils and findutils on a tree of files.
export LC_ALL=C
umask 022
mkdir -p tree/{a,b,c}/{1,2,3}; for d in tree/*/*; do echo "$d" > "$d/file.txt"; ln -s file.txt "$d/link"; done
find tree -type f | sort | head -n 3; find tree -type l | wc -l; find tree -name '1' -type d | sort; find tree -path '*b*' -name '*.txt' -exec cat {} + | sort
find tree -type f -print0 | sort -z | xargs -0 -n 3 echo | tail -n 2; find tree -empty | wc -l; find tree -maxdepth 1 -mindepth 1 -printf '%f %y %m\n' | sort
find tree -size -2k -type f -newermt 2000-01-01 | wc -l; find tree -samefile tree/a/1/file.txt; find tree -xtype l | wc -l
rm -r tree/c; ls tree; cp -a tree copy; diff -r tree copy && echo identical; mv copy/a copy/z; ls -R copy | head -n 12; ls -1p copy
echo hello > f; cp f g; ln f h; ln -s f s; stat -c '%n %s %h %F %a' f g h s; readlink s; realpath --relative-to=. s; test f -ef h && echo same file
chmod 640 g; stat -c %A g; chmod u+x,o= g; stat -c %a g; chmod -R g-w tree; touch -d '2020-02-03 04:05:06 UTC' f; stat -c %Y f; date -u -r f +%F
install -D -m 755 f deep/er/f; stat -c %a deep/er/f; mkdir -m 1777 sticky; stat -c '%a' sticky; rmdir sticky; rm -f nothing; rm nothing 2>/dev/null; echo "$?"
truncate -s 1M sparse; stat -c '%s' sparse; du -b sparse | cut -f1; dd if=/dev/zero of=block bs=4k count=10 status=none; sha256sum block; dd if=f of=block bs=1 seek=100 conv=notrunc status=none; sha1sum block
head -c 5000000 /dev/zero | tr '\0' x | sha512sum; cksum f; sum f; md5sum f > sums; md5sum -c sums; b2sum f
mktemp -u XXXX | wc -c; t=$(mktemp); test -f "$t" && rm "$t" && echo temporary; d=$(mktemp -d); mkfifo "$d/pipe"; (echo through > "$d/pipe" &) ; cat "$d/pipe"; test -p "$d/pipe" && echo fifo; rm -r "$d"
basename /a/b.c .c; dirname /a/b/c; pathchk 'good-name' && echo ok; printf '%s\n' one two | xargs; seq -s+ 1 10; seq 1 0.5 3 | paste -sd' '
date -u -d @86400 +'%F %T'; TZ=UTC date -d '2024-02-29 + 1 year' +%F; cal 2 2024 2>/dev/null | head -n 1; true && ! false && echo logic; sleep 0.01; yes no | head -n 2; pwd | grep -c /
tee x < f > y; cmp x y && echo equal; df -P . | wc -l; sync; id -u | grep -c '^[0-9]'; uname -sm; nproc | grep -c '^[0-9]'; env A=5 printenv A; test -t 0 || echo not a terminal; stat -f -c %l . ; arch; groups > /dev/null; hostname > /dev/null; logname 2>/dev/null | head -n 0
ls -l f | cut -d' ' -f1; ls -i f h | awk '{print $1}' | uniq | wc -l; ls -a | head -n 2; ls --sort=size -1 | head -n 1; ls nothing 2>/dev/null; echo $?; dir tree; shred -n 1 -u g; test -e g || echo shredded; tsort <<< 'a b b c'; ptx --version > /dev/null; unlink y; link f z; stat -c %h z
