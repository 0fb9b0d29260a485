"""What a VMM's filters allow is what guests need: all of it, at once. See RowTests.

rows.py host sockets|pipes|terminal COMMAND... runs COMMAND in a network of its own, with these for its streams, beside servers that the
guest reaches. rows.py guest all|streams, in the guest, in a host folder that it may write to, asks for what a guest can ask
for."""
import ctypes
import fcntl
import mmap
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import tty

HOST = "192.0.2.1"
SERVED, LISTENED, DATAGRAMS = 8000, 8001, 8002


def hear(output):
    try:
        return os.read(output, 65536)
    except OSError:  # a terminal that nobody has open any more
        return b""


def host(kind, command):
    for words in (["link", "set", "lo", "up"], ["address", "add", f"{HOST}/32", "dev", "lo"]):
        subprocess.run(["ip", *words], check=True)
    server = socket.create_server((HOST, SERVED))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((HOST, DATAGRAMS))

    def serve():
        while True:
            client, _ = server.accept()
            client.sendall(b"x" * 100_000)
            while client.recv(4096):
                pass
            client.close()

    def answer():
        while True:
            data, sender = datagrams.recvfrom(2048)
            datagrams.sendto(data, sender)

    def visit():
        while True:
            try:
                with socket.create_connection((HOST, LISTENED)) as guest:
                    guest.sendall(b"visitor")
                    guest.recv(1)
            except OSError:
                time.sleep(0.05)

    for work in (serve, answer, visit):
        threading.Thread(target=work, daemon=True).start()
    if kind == "sockets":
        ours, theirs = socket.socketpair()
        child = subprocess.Popen(command, stdin=theirs, stdout=theirs)
        theirs.close()
        output = given = ours.fileno()
    elif kind == "terminal":
        output, theirs = pty.openpty()
        given = output
        tty.setraw(theirs)
        child = subprocess.Popen(command, stdin=theirs, stdout=theirs)
        os.close(theirs)
    else:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        output, given = child.stdout.fileno(), child.stdin.fileno()
    heard = b""
    asked = False
    while data := hear(output):
        heard += data
        if b"go on\n" in heard and not asked:
            # Late, so that the guest waits for it; then nothing is taken for a moment.
            asked = True
            time.sleep(0.5)
            os.write(given, b"line\n")
            time.sleep(0.5)
    status = child.wait()
    if not heard.endswith(b"all of it\n"):
        sys.exit(f"the guest ended early, status {status}: {heard[-200:]!r}")
    sys.exit(status)


def files():
    os.mkdir("folder")
    with open("file", "wb+") as file:
        file.write(b"a" * 70_000)
        file.flush()
        number = file.fileno()
        os.pread(number, 100, 5)
        os.pwrite(number, b"b", 10)
        os.lseek(number, 0, os.SEEK_DATA)
        os.ftruncate(number, 50_000)
        os.posix_fallocate(number, 0, 60_000)
        os.fchmod(number, 0o600)
        os.fsync(number)
        os.fdatasync(number)
        os.fstatvfs(number)
        with mmap.mmap(number, 8192) as memory:
            memory[5] = 7
            with open("/dev/zero", "rb", buffering=0) as zeros:
                zeros.readinto(memoryview(memory)[4000:4200])
            memory.flush()
        with mmap.mmap(number, 8192, access=mmap.ACCESS_READ) as memory:
            os.write(sys.stderr.fileno(), memory[:0])
            with open("from-mapping", "wb", buffering=0) as copy:
                copy.write(memory)
    with open("file", "ab") as file:
        file.write(b"more")
    os.symlink("file", "symlink")
    os.readlink("symlink")
    os.chmod("file", 0o640)
    os.utime("file", (1, 2))
    os.utime("symlink", (1, 2), follow_symlinks=False)
    os.link("file", "name")
    os.rename("name", "other")
    renameat2 = ctypes.CDLL(None).renameat2
    renameat2(-100, b"other", -100, b"third", 1)
    renameat2(-100, b"third", -100, b"file", 2)
    os.unlink("third")
    os.stat("file")
    os.lstat("symlink")
    os.listdir(".")
    os.statvfs(".")
    os.sync()
    os.rmdir("folder")


def network():
    with socket.create_connection((HOST, SERVED)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        server.recv(10, socket.MSG_PEEK)
        got = 0
        while got < 100_000:
            got += len(server.recv(65536))
        server.send(b"more", socket.MSG_MORE)
        server.sendall(b"y" * 500_000)
        fcntl.ioctl(server, termios.TIOCOUTQ, struct.pack("i", 0))
        server.getsockname()
        server.shutdown(socket.SHUT_WR)
        server.recv(1)
    with socket.create_server((HOST, LISTENED)) as listener:
        visitor, _ = listener.accept()
        visitor.recv(10)
        visitor.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect((HOST, DATAGRAMS))
        datagrams.send(b"ping")
        datagrams.recv(100)
    try:
        socket.getaddrinfo("nobody.example", 80)
    except OSError:
        pass


def processes():
    time.clock_getres(time.CLOCK_PROCESS_CPUTIME_ID)
    os.getrandom(16)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.pause()
    threads = [threading.Thread(target=lambda: sum(range(300_000))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        subprocess.run(["true"], check=True)
    for thread in threads:
        thread.join()
    # Memory comes, is given back, and comes again.
    for _ in range(10):
        block = mmap.mmap(-1, 8 << 20)
        block.write(b"z" * (8 << 20))
        block.close()


def streams():
    print("go on", flush=True)
    select.select([0], [], [])
    try:
        fcntl.ioctl(0, termios.FIONREAD, struct.pack("i", 0))
    except OSError:
        pass  # a terminal that is the caller's alone
    os.read(0, 100)
    os.write(1, b"o" * 1_000_000)
    os.write(2, b"")


if sys.argv[1] == "host":
    host(sys.argv[2], sys.argv[3:])
if sys.argv[2] == "all":
    files()
    network()
    processes()
streams()
print("all of it", flush=True)
