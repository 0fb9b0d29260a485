"""In the lab host: starts guests of the sandbox and of QEMU in turns, and prints what they took as JSON."""

import json
import os
import subprocess
import sys
import time

REPOSITORY = "/tmp/repository"
SANDBOX = f"{REPOSITORY}/build/bin/sandbox"
MEMORY = "128"
POLICY = """version: 1
extends: builtin:machine-default.yaml
devices:
  - {device: block, from: DISK, writable: true, because: a measurement}
  - {device: network, because: a measurement}
"""
FIRMWARE = ("/usr/share/qemu", "/usr/share/seabios")
EMULATED = ("qemu-e1000", "qemu-rtl8139")
TAP = "tap,id=net,ifname=tap0,script=no,downscript=no,vhost=off"


def command(vmm, work):
    """The same kernel, initramfs, disk and TAP device for all, a serial port as console, and nothing else that QEMU can
    leave out; qemu-CARD is the machine that has an emulated network card, and nothing but that is measured of it."""
    kernel, initrd, disk = (os.path.join(work, name) for name in ("kernel", "initrd", "disk"))
    append = "quiet noxsave"
    if vmm == "sandbox":
        return [SANDBOX, "run", "--policy", os.path.join(work, "policy.yaml"), "--kernel", kernel, "--initrd", initrd,
                "--tap", "tap0,address=10.9.0.2/24", "--memory", MEMORY + "M", "--append", append, "--"]
    card = vmm.removeprefix("qemu-")
    machine = ["-M", "pc", "-device", f"{card},netdev=net,romfile="] if vmm in EMULATED else [
        "-M", "microvm,x-option-roms=off,pit=off,pic=off,rtc=off",
        "-drive", f"id=disk,file={disk},format=raw,if=none,cache=writeback,aio=threads",
        "-device", "virtio-blk-device,drive=disk", "-device", "virtio-net-device,netdev=net"]
    only = " bench.only=net" if vmm in EMULATED else ""
    return ["qemu-system-x86_64", *machine, "-accel", "kvm", "-cpu", "host", "-m", MEMORY, "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-netdev", TAP,
            "-kernel", kernel, "-initrd", initrd, "-append", f"console=ttyS0 panic=-1 reboot=t {append}{only}"]


def into_memory(paths):
    """Puts copies in memory over files and folders that come from the machine outside: reading those would be measured."""
    for number, path in enumerate(sorted(set(paths))):
        copy = os.path.join(os.getcwd(), f"copy-{number}")
        subprocess.run(["cp", "-a", path, copy], check=True)
        subprocess.run(["mount", "--bind", copy, path], check=True)


def mapped(pid):
    """The files that a process has mapped."""
    with open(f"/proc/{pid}/maps") as file:
        return [words[5] for words in map(str.split, file) if len(words) == 6 and words[5].startswith("/usr/")]


def lines_of(process, mark):
    """What follows the mark in the guest's lines, one after the other."""
    for line in process.stdout:
        if mark in line:
            yield line.split(mark, 1)[1].split()


def private(pid):
    """KiB that a process has to itself: without the guest's memory, and with it."""
    without = all_of_it = size = 0
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            word, number = (line.split() + ["", ""])[:2]
            if word == "Size:":
                size = int(number)
            elif word.startswith("Private_") and word != "Private_Hugetlb:":
                all_of_it += int(number)
                # Nothing else of either VMM is as large, and not empty.
                without += int(number) if size < 100 << 10 else 0
    return without, all_of_it


def vmm_of(process, vmm):
    if vmm != "sandbox":
        return process.pid
    return int(subprocess.run(["pgrep", "-x", "sandbox-vmm"], capture_output=True, text=True, check=True).stdout.split()[-1])


def measure(vmm, work, record):
    """One guest that says when it runs, is looked at while it idles, and then measures its disk and its network."""
    began = time.monotonic()
    process = subprocess.Popen(command(vmm, work), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    def keep(name, number):
        record.setdefault(f"{name}/{vmm}", []).append(number)
        print(f"{name}/{vmm} {number}", file=sys.stderr, flush=True)
    for words in lines_of(process, "bench:"):
        if words[0] == "payload":
            keep("boot", time.monotonic() - began)
            files = mapped(process.pid)
        elif words[0] == "idle":
            without, everything = private(vmm_of(process, vmm))
            keep("memory", without / 1024)
            keep("memory-with-guest", everything / 1024)
        elif words[0] == "end":
            break
        else:
            keep(words[0], float(words[1]))
    else:
        sys.exit(f"{vmm} ended: {process.stderr.read()}")
    process.terminate()
    process.wait()
    return files


def main():
    runs, work = int(sys.argv[1]), os.getcwd()
    for name, source in (("kernel", "build/lab/vmlinuz"), ("initrd", "build/bench/lab.cpio")):
        # Into memory, so that nobody reads it from the machine outside while the clock runs.
        subprocess.run(["cp", f"{REPOSITORY}/{source}", name], check=True)
    with open("disk", "wb") as file:
        file.truncate(32 << 20)
    with open("policy.yaml", "w") as file:
        file.write(POLICY.replace("DISK", os.path.join(work, "disk")))
    for words in ("tuntap add dev tap0 mode tap", "address add 10.9.0.1/24 dev tap0", "link set tap0 up", "link set lo up"):
        subprocess.run(["ip", *words.split()], check=True)
    server = subprocess.Popen([f"{REPOSITORY}/build/bench/net", "serve", "9000"])
    vmms = ("sandbox", "qemu", *EMULATED)
    # The first round does not count: it tells which files they use.
    files = [file for vmm in vmms for file in measure(vmm, work, {})]
    into_memory([*files, os.path.dirname(SANDBOX), "/etc", *filter(os.path.isdir, FIRMWARE)])
    record = {}
    for _ in range(runs):
        for vmm in vmms:
            measure(vmm, work, record)
    server.kill()
    server.wait()
    json.dump(record, sys.stdout)


if __name__ == "__main__":
    main()
