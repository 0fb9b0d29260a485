"""Runs the measurements of bench/run and prints them as a table: medians with the spread, and ratios to native."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SANDBOX = "build/bin/sandbox"

# A notification and its completion, against the bare exit that a notification is.
REQUEST_BOUND = 1.3


def whole(command, runs, work):
    """Seconds from exec to exit of a whole command: every run, by hyperfine without a shell."""
    out = os.path.join(work, "hyperfine.json")
    done = subprocess.run(
        ["hyperfine", "-N", "--warmup", "2", "--runs", str(runs), "--style", "none", "--export-json", out, command],
        capture_output=True, text=True)
    if done.returncode != 0:
        return None
    with open(out) as file:
        return json.load(file)["results"][0]["times"]


def spread(numbers):
    return f"{statistics.median(numbers):.4g} ({min(numbers):.4g}-{max(numbers):.4g})"


def inside(command, runs):
    """The number that a self-timing program prints, once per run."""
    numbers = []
    for _ in range(runs):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench/run: {' '.join(command)}: {done.stderr.strip()}")
        numbers.append(float(done.stdout))
    return numbers


def figures(project, name):
    """The name=value lines of a program of bench/, which says what is wrong and ends with another status than 0 if it cannot."""
    done = subprocess.run(
        ["dotnet", f"bench/{project}/bin/Release/net10.0/linux-x64/sandbox-bench-{name}.dll"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench/run: bench/{project} ended with status {done.returncode}: {done.stderr.strip()}")
    return {name: float(value) for name, _, value in (line.partition("=") for line in done.stdout.splitlines())}


def available(command):
    return subprocess.run(["sh", "-c", f"command -v {command}"], capture_output=True).returncode == 0


def runc_bundle(work, arguments):
    bundle = os.path.join(work, "bundle")
    os.makedirs(os.path.join(bundle, "rootfs"), exist_ok=True)
    subprocess.run(["runc", "spec", "--bundle", bundle], check=False, capture_output=True)
    path = os.path.join(bundle, "config.json")
    with open(path) as file:
        spec = json.load(file)
    spec["process"]["terminal"] = False
    spec["process"]["args"] = arguments
    spec["root"]["readonly"] = False
    for host in ("/usr", "/bin", "/sbin", "/lib", "/lib64"):
        if os.path.islink(host):
            link = os.path.join(bundle, "rootfs", host[1:])
            if not os.path.lexists(link):
                os.symlink(os.readlink(host), link)
        elif os.path.isdir(host):
            spec["mounts"].append({"destination": host, "type": "bind", "source": host, "options": ["rbind", "ro"]})
    with open(path, "w") as file:
        json.dump(spec, file)
    return f"runc run --bundle {bundle} sandbox-bench"


def milliseconds(times):
    return f"{statistics.median(times) * 1e3:.1f} ({min(times) * 1e3:.1f}-{max(times) * 1e3:.1f})"


def start_up(runs, work, record):
    print("\nStart to exit of a whole command, milliseconds: median (minimum-maximum)\n")
    print(f"{'program':<18}{'native':>18}{'sandbox':>18}{'ratio':>6}{'hand-off off':>18}{'bubblewrap':>18}{'runc':>18}")
    bwrap = ("bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 "
             "--proc /proc --dev /dev --unshare-all --die-with-parent ")
    for name, arguments in (("busybox true", ["/bin/busybox", "true"]), ("python3 -c pass", ["/usr/bin/python3", "-c", "pass"])):
        command = " ".join(arguments)
        native = whole(command, runs, work)
        own = whole(f"{SANDBOX} run -- {command}", runs, work)
        exits_only = whole(f"{SANDBOX} run --handoff off -- {command}", runs, work)
        if own is None or native is None:
            sys.exit(f"bench/run: {command} does not run; try {SANDBOX} run -- {command}")
        peers = []
        for tool, line in (("bwrap", bwrap + command), ("runc", None)):
            times = None
            if available(tool):
                times = whole(line or runc_bundle(work, arguments), runs, work)
            peers.append(milliseconds(times) if times else "not here")
            record[f"start/{name}/{tool}"] = times
        record[f"start/{name}/native"], record[f"start/{name}/sandbox"] = native, own
        record[f"start/{name}/handoff-off"] = exits_only
        ratio = statistics.median(own) / statistics.median(native)
        print(f"{name:<18}{milliseconds(native):>18}{milliseconds(own):>18}{ratio:>6.1f}{milliseconds(exits_only):>18}"
              f"{peers[0]:>18}{peers[1]:>18}")


def breakdown(work, record):
    """Where the time of a start goes, from the result record of one run."""
    out = os.path.join(work, "result.json")
    for name, command in (("busybox true", ["/bin/busybox", "true"]), ("python3 -c pass", ["/usr/bin/python3", "-c", "pass"])):
        subprocess.run([SANDBOX, "run", "--json", out, "--", *command], check=True)
        with open(out) as file:
            result = json.load(file)
        record[f"breakdown/{name}"] = result
        calls = sum(call["count"] for call in result["systemCalls"])
        exits = sum(result["exits"].values())
        print(f"{name}: {calls} calls, {result['callsHandedOver']} of them handed over; {exits} exits, "
              f"{result['exits']['pageFault']} of them page faults; wall {result['wallMicroseconds']} us after "
              + ", ".join(f"{phase} {at}" for phase, at in result["startPhasesMicroseconds"].items()) + " us")
    return record


def resident(record):
    """Memory that one more VMM costs: what it has to itself while another one runs, the guest's pages included."""
    command = [SANDBOX, "run", "--", "/bin/busybox", "sleep", "60"]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    time.sleep(1)
    vmm = subprocess.run(["pgrep", "-P", str(processes[0].pid)], capture_output=True, text=True).stdout.split()[0]
    with open(f"/proc/{vmm}/smaps_rollup") as file:
        private = sum(int(line.split()[1]) for line in file if line.startswith("Private_"))
    for process in processes:
        process.terminate()
        process.wait()
    record["memory/busybox sleep/private KiB"] = private
    print(f"VMM of busybox sleep: {private / 1024:.1f} MiB private, the guest's own pages included")


def micro(runs, work, record):
    runs = max(3, runs // 4)
    program, script = os.path.join(work, "micro"), os.path.join(work, "work.py")
    shutil.copy("bench/guests/work.py", script)
    python = shutil.which("python3", path="/usr/bin:/bin")
    # Files in the host's memory: what is compared is the way to them, not the disk.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as files:
        guest = [SANDBOX, "run", "--memory", "2G", "--mount", work, "--mount", f"{files}:/data:rw", "--"]
        exits_only = guest[:2] + ["--handoff", "off"] + guest[2:]
        print("\nInside: the same binary natively and in a guest, medians (minimum-maximum)\n")
        print(f"{'what':<36}{'native':>26}{'sandbox':>26}{'ratio':>7}{'hand-off off':>26}")
        rows = (
            ("trivial system call, ns", [program, "call"], None),
            ("clock_gettime (vDSO), ns", [program, "clock"], None),
            ("integer loop, 1 thread, s", [program, "threads", "1"], None),
            ("integer loop, 2 threads, s", [program, "threads", "2"], None),
            ("write 1 GiB in 64 KiB calls, s", [program, "write"], "data"),
            ("read 1 GiB in 64 KiB calls, s", [program, "read"], "data"),
            ("python: loop, s", [python, script, "loop"], None),
            ("python: sha256, s", [python, script, "sha256"], None),
            ("python: deflate, s", [python, script, "deflate"], None),
            ("python: xz, s", [python, script, "xz"], None),
        )
        for name, command, file in rows:
            native = inside(command + ([os.path.join(files, file)] if file else []), runs)
            command += [f"/data/{file}"] if file else []
            own, without = inside(guest + command, runs), inside(exits_only + command, runs)
            record[f"inside/{name}/native"], record[f"inside/{name}/sandbox"] = native, own
            record[f"inside/{name}/handoff-off"] = without
            ratio = statistics.median(own) / statistics.median(native)
            print(f"{name:<36}{spread(native):>26}{spread(own):>26}{ratio:>7.2f}{spread(without):>26}")
    exits = figures("Exits", "exits")
    record.update({f"platform/{name}": value for name, value in exits.items()})
    # The other line of that program includes its own just-in-time compilation.
    print(f"{'bare exit with an empty handler, ns':<36}{'':>26}{exits['exit']:>26.4g}")


def virtio(record):
    """A request's cost, and what a ring makes of a disk's. Answers whether the bound is kept."""
    measured = figures("Virtio", "virtio")
    record.update({f"virtio/{name}": value for name, value in measured.items()})
    is_met = measured["ratio"] <= REQUEST_BOUND
    print(f"virtio, one request of a driver at CPL 3: {measured['request']:.0f} ns, {measured['ratio']:.2f} times a bare exit, "
          f"at most {REQUEST_BOUND}: {'met' if is_met else 'MISSED'}")
    for name, what in (("cached", "one read of a disk, out of the page cache"), ("disk", "a read of 32 at once, not cached")):
        if f"{name}-ratio" in measured:
            print(f"{what}: {measured[name + '-plain']:.0f} ns with plain calls, {measured[name + '-ring']:.0f} ns with io_uring, "
                  f"{measured[name + '-ratio']:.2f} times")
    return is_met


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--json")
    options = parser.parse_args()
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    kvm = next((m for m in ("kvm_pvm", "kvm_amd", "kvm_intel") if os.path.isdir(f"/sys/module/{m}")), "unknown KVM")
    print(f"Host: {model}, {os.cpu_count()} CPUs, Linux {platform.release()}, {kvm}; {options.runs} runs each, "
          f"load average {os.getloadavg()[0]:.1f}")
    record = {}
    start_up(options.runs, options.work, record)
    breakdown(options.work, record)
    resident(record)
    micro(options.runs, options.work, record)
    is_met = virtio(record)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(record, file, indent=1)
    if not is_met:
        sys.exit(f"bench/run: a request costs {record['virtio/ratio']:.2f} bare exits; at most {REQUEST_BOUND} is the bound")


if __name__ == "__main__":
    main()
