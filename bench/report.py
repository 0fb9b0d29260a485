"""Runs the measurements of bench/run and prints them as a table: medians with the spread, and ratios to native."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys

SANDBOX = "build/bin/sandbox"


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


def inside(prefix, arguments, runs):
    """The number that a self-timing program prints, once per run."""
    numbers = []
    for _ in range(runs):
        done = subprocess.run(prefix + arguments, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench/run: {' '.join(prefix + arguments)}: {done.stderr.strip()}")
        numbers.append(float(done.stdout))
    return numbers


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
    print(f"{'program':<24}{'native':>22}{'sandbox':>22}{'ratio':>8}{'bubblewrap':>22}{'runc':>22}")
    bwrap = ("bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 "
             "--proc /proc --dev /dev --unshare-all --die-with-parent ")
    for name, arguments in (("busybox true", ["/bin/busybox", "true"]), ("python3 -c pass", ["/usr/bin/python3", "-c", "pass"])):
        command = " ".join(arguments)
        native = whole(command, runs, work)
        own = whole(f"{SANDBOX} run -- {command}", runs, work)
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
        ratio = statistics.median(own) / statistics.median(native)
        print(f"{name:<24}{milliseconds(native):>22}{milliseconds(own):>22}{ratio:>8.1f}{peers[0]:>22}{peers[1]:>22}")


def micro(runs, work, record):
    runs = max(3, runs // 4)
    program = os.path.join(work, "micro")
    guest = [SANDBOX, "run", "--memory", "2G", "--mount", f"{work}:{work}:rw", "--"]
    print("\nInside: the same binary natively and in a guest, medians\n")
    print(f"{'what':<44}{'native':>14}{'sandbox':>14}{'ratio':>8}")
    data = os.path.join(work, "data")
    rows = (
        ("trivial system call, ns", ["call"]),
        ("clock_gettime (vDSO), ns", ["clock"]),
        ("integer loop, 1 thread, s", ["threads", "1"]),
        ("integer loop, 2 threads, s", ["threads", "2"]),
        ("write 1 GiB in 64 KiB calls, s", ["write", data]),
        ("read 1 GiB in 64 KiB calls, s", ["read", data]),
    )
    for name, arguments in rows:
        native = inside([program], arguments, runs)
        own = inside(guest + [program], arguments, runs)
        record[f"inside/{name}/native"], record[f"inside/{name}/sandbox"] = native, own
        a, b = statistics.median(native), statistics.median(own)
        print(f"{name:<44}{a:>14.4g}{b:>14.4g}{b / a:>8.2f}")
    exits = subprocess.run(
        ["dotnet", "bench/Exits/bin/Release/net10.0/linux-x64/sandbox-bench-exits.dll"], capture_output=True, text=True)
    for line in exits.stdout.splitlines():
        name, _, value = line.partition("=")
        record[f"platform/{name}"] = float(value)
        # The other line of that program includes its own just-in-time compilation.
        if name == "exit":
            print(f"{'bare exit with an empty handler, ns':<44}{'':>14}{float(value):>14.4g}")


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
    micro(options.runs, options.work, record)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(record, file, indent=1)


main()
