#!/bin/bash
# Job control without a terminal: process groups, stopping, continuing, jobs, disown.
set -m
sleep 5 & job=$!
kill -STOP "$job"
sleep 0.1
jobs | sed 's/ *$//'
kill -CONT "$job"
sleep 0.1
jobs -r | wc -l
kill %1
# By pid: the job itself may have been reported, and forgotten, before wait asks for it.
wait "$job" 2>/dev/null; echo "ended: $?"
(sleep 0.1; exit 5) &
fg %% > /dev/null; echo "foreground: $?"
sleep 0.3 | cat & 
[ "$(ps -o pgid= -p $! 2>/dev/null | tr -d ' ')" != "$$" ] && echo "a group of its own"
wait
sleep 5 & disown
jobs | wc -l
kill $!
echo "$-" | grep -q m && echo monitoring
suspended() { kill -STOP "$BASHPID"; echo resumed; }
suspended &
sleep 0.1
jobs -s | wc -l
kill -CONT %suspended 2>/dev/null || kill -CONT $!
wait
echo finished
