"""Prints what the jail adds to a start, and how long starts take when there are many: bench/run --jail."""

import argparse
import json
import os
import statistics
import time

from report import SANDBOX, available, milliseconds, runc_bundle

TRUE = ["/bin/busybox", "true"]
BWRAP = ["bwrap", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink",
         "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--unshare-all", "--die-with-parent", *TRUE]
AT_ONCE = 50
# Milliseconds that the whole jail may add to a start, and that of it may be beside no other work; and how many times as long
# as one start the 99th percentile of many at once may take.
ADDS, NOT_OVERLAPPED, MANY = 8, 3, 4


def start(command, number):
    """Containers have a name each; whatever else a command says goes nowhere."""
    words = [word.replace("NUMBER", str(number)) for word in command]
    null = os.open("/dev/null", os.O_RDWR)
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in range(3)])
    os.close(null)
    return pid


def one(command, number=0):
    """Seconds from exec to exit, and seconds of CPU time of the processes that were waited for."""
    began = time.perf_counter()
    _, status, usage = os.wait4(start(command, number), 0)
    if status != 0:
        raise SystemExit(f"bench/run --jail: {' '.join(command)}: exit status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def bound(value, most):
    return f"at most {most}: {'holds' if value <= most else 'MISSED'}"


def phases(work):
    """Microseconds from the command line's start to each step's end, by the result record of one run."""
    file = os.path.join(work, "result.json")
    one([SANDBOX, "run", "--json", file, "--", *TRUE])
    with open(file) as record:
        return json.load(record)["startPhasesMicroseconds"]


def exposed(at):
    """
    Milliseconds of the jail that a start waits for. The process that builds it does so while the supervisor parses and
    plans, and the rest of it (owners' maps, limits, granted folders) is built while the VMM makes its VM. So what counts is:
    what the supervisor waits for the jail when it has planned; what the VM, begun by so much later, is late when the plan
    has been sent; and Landlock and the filters, for which the plan has to be there.
    """
    built = at["jail"] - at["clone"]
    waited = max(0, at["jail"] - at["planned"])
    late = min(max(0, at["platform"] - at["sent"]), built - min(waited, built))
    return (waited + late + at["confined"] - at["plan"]) / 1e3


def at_once(command):
    """Seconds from each one's exec to its exit."""
    began, times = {}, []
    for number in range(AT_ONCE):
        at = time.perf_counter()
        began[start(command, number)] = at
    while began:
        pid, status = os.wait()
        if status != 0:
            raise SystemExit(f"bench/run --jail: {' '.join(command)}: exit status {os.waitstatus_to_exitcode(status)}")
        times.append(time.perf_counter() - began.pop(pid))
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--work", required=True)
    options = parser.parse_args()
    programs = {
        "sandbox": [SANDBOX, "run", "--", *TRUE],
        "without a jail": [os.path.join(options.work, "unjailed", "sandbox"), "run", "--", *TRUE],
    }
    if available("bwrap"):
        programs["bubblewrap"] = BWRAP
    if available("runc"):
        programs["runc"] = runc_bundle(options.work, TRUE).replace("sandbox-bench", "sandbox-bench-NUMBER").split()

    times = {name: [] for name in programs}
    work = {name: [] for name in programs}
    for _ in range(options.runs * 2):
        for name, command in programs.items():
            seconds, busy = one(command)
            times[name].append(seconds)
            work[name].append(busy)
    print(f"busybox true, milliseconds: median (minimum-maximum) of {options.runs * 2} alternating runs; load average "
          f"{os.getloadavg()[0]:.1f}\n")
    for name in programs:
        print(f"{name:<18}{milliseconds(times[name]):>22}   CPU {statistics.median(work[name]) * 1e3:.1f}")
    pairs = [a - b for a, b in zip(times["sandbox"], times["without a jail"])]
    adds = statistics.median(pairs) * 1e3
    print(f"\nThe jail adds {adds:.2f} ms (median of the pairs); {bound(adds, ADDS)}.")
    records = [phases(options.work) for _ in range(options.runs * 2)]
    steps = {name: statistics.median(record[name] for record in records) / 1e3 for name in records[0]}
    print("When each step of a start was done, ms (medians): "
          + ", ".join(f"{name} {at:.2f}" for name, at in sorted(steps.items(), key=lambda step: step[1])))
    waits = statistics.median(exposed(record) for record in records)
    print(f"Building it takes {steps['jail'] - steps['clone']:.2f} ms and putting on what the VMM puts on itself "
          f"{steps['confined'] - steps['plan']:.2f}; of that nothing else is done beside {waits:.2f} ms; "
          f"{bound(waits, NOT_OVERLAPPED)}.\n")

    print(f"{AT_ONCE} starts at once on {os.cpu_count()} CPUs, milliseconds from each one's exec to its exit\n")
    print(f"{'':<18}{'one':>9}{'median':>9}{'99 %':>9}{'99 % : one':>12}{'all CPUs busy':>15}")
    for name, command in programs.items():
        alone = statistics.median(times[name])
        together = sorted(time for _ in range(3) for time in at_once(command))
        last = together[int(len(together) * 0.99)]
        least = statistics.median(work[name]) * AT_ONCE / os.cpu_count()
        print(f"{name:<18}{alone * 1e3:>9.1f}{statistics.median(together) * 1e3:>9.1f}{last * 1e3:>9.1f}"
              f"{last / alone:>12.1f}{least * 1e3:>15.1f}"
              + (f"  {bound(last / alone, MANY)}" if name == "sandbox" else ""))
    print("\nAll CPUs busy: what the CPU time of that many would take if no CPU ever waited.")


if __name__ == "__main__":
    main()
