"""Runs the measurements of bench/run --lab: a machine guest against QEMU's, both on the KVM of one emulated lab host.

The lab host is emulated, so that times mean nothing there, and ratios do as long as this machine has nothing else to do:
guests of each kind take turns. Its processor has no fast string moves (ERMS): emulated, they go byte by byte, and copying
would cost more than all else.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys

from report import spread

IMAGE = "build/lab"
# Of each measurement: its name, what it is, the unit's factor, the peer, whose number is the larger one when the sandbox
# is better, the bound of the ratio to the peer, and the bound of the number itself.
QEMU, E1000, RTL8139 = "qemu", "qemu-e1000", "qemu-rtl8139"
ROWS = (
    ("boot", "exec to first output of /init, s", 1, QEMU, "at most", 0.8, None),
    ("kernel", "of it inside the kernel, s", 1, QEMU, None, None, None),
    ("memory", "VMM's private memory, idle, MiB", 1, QEMU, "at most", 0.4, 10),
    ("block-random", "disk, 4 KiB random, us a request", 1e-3, QEMU, "at most", 1.0, None),
    ("block-sequential", "disk, 1 MiB sequential, us a request", 1e-3, QEMU, "at most", 1.0, None),
    ("net-send", "TCP out of the guest, MB/s", 1, QEMU, "at least", 1.0, None),
    ("net-receive", "TCP into the guest, MB/s", 1, QEMU, "at least", 1.0, None),
    ("net-echo", "a byte there and back, us", 1, QEMU, "at most", 1.0, None),
    ("net-send", "TCP out of the guest, MB/s", 1, RTL8139, "at least", 11.3, None),
    ("net-receive", "TCP into the guest, MB/s", 1, RTL8139, "at least", 11.3, None),
    ("net-send", "TCP out of the guest, MB/s", 1, E1000, "at least", 11.3, None),
    ("net-receive", "TCP into the guest, MB/s", 1, E1000, "at least", 11.3, None),
)
PEERS = {QEMU: "QEMU microvm", E1000: "QEMU pc, e1000", RTL8139: "QEMU pc, rtl8139"}
INIT = """#!/bin/busybox sh
echo bench:payload
/bin/busybox mount -t proc proc /proc
read -r uptime idle </proc/uptime
echo "bench:kernel $uptime"
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do
    /bin/busybox insmod "/$module"
done </modules
if ! /bin/busybox grep -q bench.only=net /proc/cmdline; then
    until [ -b /dev/vda ]; do
        /bin/busybox sleep 0.1
    done
    echo bench:idle
    /bin/busybox sleep 5
    for way in random sequential; do
        echo "bench:block-$way $(/disk /dev/vda $way)"
    done
fi
/bin/busybox ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up
until /bin/busybox ping -c 1 -W 1 10.9.0.1 >/dev/null; do :; done
for way in send receive echo; do
    echo "bench:net-$way $(/net 10.9.0.1 9000 $way)"
done
echo bench:end
exec /bin/busybox sleep 1000
"""


def module_files(names, found):
    """The files of modules, each behind what it depends on."""
    files = {}
    for folder, _, entries in os.walk(os.path.join(IMAGE, "kernel")):
        files.update({entry[:-3].replace("-", "_"): os.path.join(folder, entry) for entry in entries if entry.endswith(".ko")})
    for name in names:
        name = name.replace("-", "_")
        if name in files and files[name] not in found:
            with open(files[name], "rb") as file:
                words = next(w for w in file.read().split(b"\0") if w.startswith(b"depends="))
            module_files([w for w in words[8:].decode().split(",") if w], found)
            found.append(files[name])
    return found


def make_initramfs(work):
    """build/bench/lab.cpio: busybox, the programs that measure a disk and a network, and the modules that these take."""
    tree, target = os.path.join(work, "initramfs"), os.path.abspath("build/bench/lab.cpio")
    os.makedirs(os.path.join(tree, "bin"))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    for folder in ("dev", "proc"):
        os.mkdir(os.path.join(tree, folder))
    shutil.copy("/bin/busybox", os.path.join(tree, "bin/busybox"))
    for program in ("disk", "net"):
        built = os.path.join(tree, program)
        subprocess.run(["gcc", "-O2", "-static", "-o", built, f"bench/guests/{program}.c"], check=True)
    # The lab host's side of the network.
    shutil.copy(os.path.join(tree, "net"), "build/bench/net")
    modules = module_files(["virtio_mmio", "virtio_blk", "virtio_net", "e1000", "8139cp"], [])
    for file in modules:
        shutil.copy(file, tree)
    with open(os.path.join(tree, "modules"), "w") as file:
        file.writelines(os.path.basename(module) + "\n" for module in modules)
    with open(os.path.join(tree, "init"), "w") as file:
        file.write(INIT)
    os.chmod(os.path.join(tree, "init"), 0o755)
    subprocess.run(f"find . | busybox cpio -o -H newc >'{target}' 2>/dev/null", shell=True, cwd=tree, check=True)


def share(tag, path, read_only):
    return ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap,readonly={read_only}"]


def in_lab(command, work):
    """Runs a command in a lab host of its own, as tests/Lab/init.sh does, and gives its standard output."""
    case = os.path.join(work, "cases/1")
    os.makedirs(case)
    open(os.path.join(case, "input"), "w").close()
    with open(os.path.join(case, "run"), "w") as file:
        file.write(f"export PATH=/usr/bin:/bin:/usr/sbin HOME=$PWD LANG=C.UTF-8\nexec {command} 2>/tmp/cases/1/progress\n")
    host = subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max,+svm,+npt,-erms,-fsrm",
         "-M", "q35", "-m", "3072", "-nodefaults", "-display", "none", "-no-reboot", "-kernel", f"{IMAGE}/vmlinuz",
         "-initrd", f"{IMAGE}/initramfs", "-append", "console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable",
         "-serial", f"file:{work}/console", "-chardev", "stdio,id=cases,signal=off", "-device", "virtio-serial",
         "-device", "virtserialport,chardev=cases", *share("host", "/", "on"), *share("repository", os.getcwd(), "on"),
         *share("cases", os.path.join(work, "cases"), "off")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        for line in host.stdout:
            if line == "ready\n":
                host.stdin.write("1\n")
                host.stdin.flush()
            elif line == "1\n":
                break
        else:
            sys.exit(f"bench/run --lab: the lab host ended: {open(f'{work}/console').read()[-2000:]}")
    finally:
        host.kill()
        host.wait()
    with open(os.path.join(case, "status")) as status, open(os.path.join(case, "stdout")) as out, \
            open(os.path.join(case, "progress")) as said:
        if status.read() != "0\n":
            sys.exit(f"bench/run --lab: the measurement failed: {said.read()}")
        return out.read()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--json")
    options = parser.parse_args()
    subprocess.run(["tests/Lab/image.sh", IMAGE], check=True)
    make_initramfs(options.work)
    record = json.loads(in_lab(f"python3 /tmp/repository/bench/lab_inside.py {options.runs}", options.work))
    print(f"A machine guest of 128 MiB, {options.runs} runs each in turns, on a host that is emulated\n")
    print(f"{'what':<40}{'sandbox':>26}  {'peer':<17}{'':>26}{'ratio':>7}  bound")
    for name, title, factor, peer, kind, ratio_bound, alone in ROWS:
        own, others = ([number * factor for number in record[f"{name}/{vmm}"]] for vmm in ("sandbox", peer))
        ratio = statistics.median(own) / statistics.median(others)
        line = f"{title:<40}{spread(own):>26}  {PEERS[peer]:<17}{spread(others):>26}{ratio:>7.2f}"
        if kind is None:
            print(line)
            continue
        holds = ratio <= ratio_bound if kind == "at most" else ratio >= ratio_bound
        holds = holds and (alone is None or statistics.median(own) <= alone)
        bound = f"{kind} {ratio_bound}" + ("" if alone is None else f" and {alone}")
        print(f"{line}  {bound}: {'holds' if holds else 'MISSED'}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
