#!/bin/bash
# tar, gzip, xz and bzip2: round trips, streams, and byte-for-byte equal archives.
export LC_ALL=C TZ=UTC
umask 022
mkdir -p source/sub; awk 'BEGIN { for (i = 0; i < 40000; i++) print i, i * i % 1009, "some text" }' > source/numbers
head -c 300000 /dev/zero > source/zeroes; ln -s numbers source/link; ln source/zeroes source/hard; echo deep > source/sub/file; chmod 600 source/sub/file
find source -exec touch -h -d '2021-01-01 00:00:00 UTC' {} +
tar --sort=name --owner=0 --group=0 --numeric-owner -cf archive.tar source; sha256sum archive.tar; tar -tf archive.tar | sort; tar -tvf archive.tar | awk '{print $1, $3}' | sort | uniq -c
mkdir out; tar -C out -xpf archive.tar; diff -r source out/source && echo same; stat -c '%a %Y' out/source/sub/file; test out/source/zeroes -ef out/source/hard && echo hard link
tar -C source -cf - . | (mkdir stream; cd stream; tar -xf -); diff -r source stream && echo streamed
gzip -n -k -9 archive.tar; sha256sum archive.tar.gz; gunzip -c archive.tar.gz | cmp - archive.tar && echo gzip; gzip -t archive.tar.gz && echo intact; gzip -dc archive.tar.gz | wc -c; zcat archive.tar.gz | head -c 10 | wc -c
xz -k -6 archive.tar; sha256sum archive.tar.xz; xz -dc archive.tar.xz | cmp - archive.tar && echo xz; xz -T2 -9 -c source/numbers | xz -dc | cmp - source/numbers && echo threads; xz --list archive.tar.xz | wc -l
bzip2 -kf archive.tar 2>/dev/null && bunzip2 -c archive.tar.bz2 | cmp - archive.tar && echo bzip2
tar -czf a.tgz source && tar -tzf a.tgz | wc -l; tar -cJf a.txz source && tar -xJOf a.txz source/sub/file; tar -rf archive.tar --transform='s/numbers/more/' source/numbers; tar -tf archive.tar | tail -n 1; tar --delete -f archive.tar source/more; tar -df archive.tar && echo no difference
head -c 1000 archive.tar.gz > broken.gz; gzip -dc broken.gz > /dev/null 2>&1; echo "broken: $?"; printf junk | xz -dc 2> /dev/null; echo "junk: $?"; tar -xf nothing 2>/dev/null; echo "missing: $?"; cpio --version > /dev/null 2>&1; (cd source; find . | sort | tar --no-recursion -cf - -T - | tar -tf - | wc -l)
