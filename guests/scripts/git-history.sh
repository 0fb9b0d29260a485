#!/bin/bash
# git: init, add, commit, branch, merge, log, diff, clone; commits made at given times have the same names anywhere.
set -e
export LC_ALL=C TZ=UTC HOME=$PWD GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=Author GIT_AUTHOR_EMAIL=author@example.org GIT_COMMITTER_NAME=Author GIT_COMMITTER_EMAIL=author@example.org
export GIT_AUTHOR_DATE='2024-01-02T03:04:05Z' GIT_COMMITTER_DATE='2024-01-02T03:04:05Z'
umask 022
git init -q -b main project && cd project
echo first > file && git add file && git commit -q -m 'First commit' && git log --format='%H %an %s'
for i in $(seq 1 30); do echo "$i" > "file$i"; done; git add . && git commit -q -m 'Many files' && git rev-parse HEAD
git checkout -q -b topic && echo topic >> file && git commit -qam 'On the branch' && git checkout -q main && echo other > other && git add other && git commit -q -m 'On main'
git merge -q --no-edit topic && git log --oneline --graph | cat && git diff --stat HEAD~1 | cat && git rev-parse HEAD
git status --short && echo dirty >> file && git status --short && git diff | tail -n 3 && git stash -q && git stash list | wc -l && git stash pop -q && git checkout -q file
git tag -a v1 -m 'A tag' && git describe && git show --format=%s v1 | head -n 8
cd .. && git clone -q project copy && cd copy && git log --oneline | wc -l && git fsck --strict 2>&1 | grep -vc dangling || true
git gc -q && git count-objects -v | grep in-pack && git mv file1 renamed && git rm -q file2 && git commit -qm 'Renamed' && git log -1 --name-status --format=%s | cat
git blame file | cut -d' ' -f1 | sort -u | wc -l && git rev-list --all | wc -l && git grep -n topic && git archive HEAD | tar -tf - | wc -l && git bisect start -q HEAD HEAD~2 2>/dev/null | wc -l
