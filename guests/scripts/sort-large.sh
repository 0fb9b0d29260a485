#!/bin/bash
# Sorts a file of 200 MB with less memory than the file is large, by two threads and with temporary files.
set -e
export LC_ALL=C
awk 'BEGIN { x = 12345; for (i = 0; i < 4200000; i++) { x = (x * 1103515245 + 12345) % 2147483648; printf "%010d a line of the file to be sorted, %7d\n", x, i } }' > unsorted
stat -c %s unsorted | awk '{ print ($1 >= 200000000 ? "large enough" : "too small") }'
sort --parallel=2 -S 80M -T . -o sorted unsorted
sort -c sorted && echo sorted
wc -l < sorted
sha256sum < sorted
head -n 1 sorted; tail -n 1 sorted
rm unsorted sorted
