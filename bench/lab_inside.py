"""In the lab host: starts guests of the sandbox and of QEMU's microvm in turns, and prints what they took as JSON."""

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
"""


def command(vmm, work):
    """The same kernel, initramfs and disk for both, a serial port as console, and nothing else that QEMU can leave out."""
    kernel, initrd, disk = (os.path.join(work, name) for name in ("kernel", "initrd", "disk"))
    append = "quiet noxsave"
    if vmm == "sandbox":
        return [SANDBOX, "run", "--policy", os.path.join(work, "policy.yaml"), "--kernel", kernel, "--initrd", initrd,
                "--memory", MEMORY + "M", "--append", append, "--"]
    return ["qemu-system-x86_64", "-M", "microvm,x-option-roms=off,pit=off,pic=off,rtc=off", "-accel", "kvm", "-cpu", "host",
            "-m", MEMORY, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-drive", f"id=disk,file={disk},format=raw,if=none,cache=writeback,aio=threads",
            "-device", "virtio-blk-device,drive=disk", "-kernel", kernel, "-initrd", initrd,
            "-append", f"console=ttyS0 panic=-1 reboot=t {append}"]


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
    """One guest that says when it runs, is looked at while it idles, and then measures its disk."""
    began = time.monotonic()
    process = subprocess.Popen(command(vmm, work), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    def keep(name, number):
        record.setdefault(f"{name}/{vmm}", []).append(number)
        print(f"{name}/{vmm} {number}", file=sys.stderr, flush=True)
    for words in lines_of(process, "bench:"):
        if words[0] == "payload":
            keep("boot", time.monotonic() - began)
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


def main():
    runs, work = int(sys.argv[1]), os.getcwd()
    for name, source in (("kernel", "build/lab/vmlinuz"), ("initrd", "build/bench/lab.cpio")):
        # Into memory, so that nobody reads it from the machine outside while the clock runs.
        subprocess.run(["cp", f"{REPOSITORY}/{source}", name], check=True)
    with open("disk", "wb") as file:
        file.truncate(32 << 20)
    with open("policy.yaml", "w") as file:
        file.write(POLICY.replace("DISK", os.path.join(work, "disk")))
    record = {}
    # What the first round reads comes from the machine outside: it does not count.
    for counted in [{}] + [record] * runs:
        for vmm in ("sandbox", "qemu"):
            measure(vmm, work, counted)
    json.dump(record, sys.stdout)


if __name__ == "__main__":
    main()
