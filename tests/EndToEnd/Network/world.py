#!/usr/bin/python3
"""The network that the tests' guests may or may not reach: run in a network and mount namespace of its own.

world.py FOLDER COMMAND... puts addresses on the loopback device, serves on them, runs COMMAND, and writes to
FOLDER/reached what came to the servers, one line each. FOLDER/hosts becomes /etc/hosts. A line in FOLDER/asked
(see Rules below) makes something happen while COMMAND runs.
"""
import os
import socket
import struct
import subprocess
import sys
import threading
import time

folder, command = sys.argv[1], sys.argv[2:]
ADDRESSES = ["192.0.2.10/32", "192.0.2.11/32", "10.9.9.9/32", "169.254.169.254/32", "2001:db8::10/128"]
reached = open(f"{folder}/reached", "w", buffering=1)


def run(*words):
    subprocess.run(words, check=True)


def bound(kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, port))
    return s


def answer_stream(connection, port):
    """HTTP to those who speak it, an echo to others, until their end."""
    with connection:
        first = True
        while data := connection.recv(65536):
            if first:
                reached.write(f"tcp {connection.getsockname()[0]} {port}\n")
            if first and data.startswith(b"GET"):
                body = f"file from {port}\n".encode() * 1000
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                return
            first = False
            connection.sendall(data)


def serve_stream(listener, port):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer_stream, args=(connection, port), daemon=True).start()


def serve_datagrams(s, port):
    while True:
        data, sender = s.recvfrom(65536)
        reached.write(f"udp {port}\n")
        s.sendto(b"echo " + data, sender)


def serve_names(s):
    """The host's DNS: one name, and there are no others."""
    while True:
        query, sender = s.recvfrom(512)
        end = 12
        while query[end]:
            end += 1 + query[end]
        name = query[12:end]
        kind = struct.unpack("!H", query[end + 1:end + 3])[0]
        known = name.lower() == b"\x01b\x05other\x07example"
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 11]) if known and kind == 1 else b""
        flags = 0x8180 if known else 0x8183
        s.sendto(query[:2] + struct.pack("!HHHHH", flags, 1, 1 if answer else 0, 0, 0) + query[12:end + 5] + answer, sender)


def visit(port):
    """A client outside, which says hello to a guest that listens."""
    for _ in range(100):
        try:
            with socket.create_connection(("192.0.2.10", port), timeout=5) as s:
                s.sendall(b"hello from outside\n")
                reached.write(f"guest said {s.recv(100).decode().strip()}\n")
                return
        except OSError:
            time.sleep(0.05)


def send_datagram(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        for _ in range(50):
            s.sendto(b"datagram from outside", ("192.0.2.10", port))
            try:
                reached.write(f"guest said {s.recvfrom(100)[0].decode()}\n")
                return
            except OSError:
                pass


def obey():
    """Rules: 'visit PORT', 'datagram PORT', 'move NAME ADDRESS' (in the hosts file)."""
    done = 0
    while True:
        time.sleep(0.02)
        try:
            asked = open(f"{folder}/asked").read().splitlines()
        except FileNotFoundError:
            continue
        for line in asked[done:]:
            what, *words = line.split()
            if what == "move":
                with open("/etc/hosts", "w") as hosts:
                    hosts.write(f"{words[1]} {words[0]}\n")
                open(f"{folder}/moved", "w").close()
            else:
                target = visit if what == "visit" else send_datagram
                threading.Thread(target=target, args=(int(words[0]),), daemon=True).start()
        done = len(asked)


run("mount", "--make-rprivate", "/")
run("mount", "--bind", f"{folder}/hosts", "/etc/hosts")
run("mount", "--bind", f"{folder}/resolv.conf", "/etc/resolv.conf")
run("ip", "link", "set", "lo", "up")
for address in ADDRESSES:
    run("ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
for port in (443, 8000, 8001):
    for any_address in ("0.0.0.0", "::"):
        listener = bound(socket.SOCK_STREAM, any_address, port)
        listener.listen(100)
        threading.Thread(target=serve_stream, args=(listener, port), daemon=True).start()
for port in (9000, 9001):
    for address in ("192.0.2.10", "192.0.2.11"):
        threading.Thread(target=serve_datagrams, args=(bound(socket.SOCK_DGRAM, address, port), port), daemon=True).start()
threading.Thread(target=serve_names, args=(bound(socket.SOCK_DGRAM, "127.0.0.1", 53),), daemon=True).start()
threading.Thread(target=obey, daemon=True).start()
status = subprocess.run(command).returncode
sys.stdout.flush()
os._exit(status if status >= 0 else 128 - status)
