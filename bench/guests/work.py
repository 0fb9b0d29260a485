"""CPU-bound work that times itself, run natively and in a guest: prints seconds, one number."""

import hashlib
import lzma
import sys
import time
import zlib


def data(size):
    """Bytes that compress about as text does, the same at every run."""
    words = [hashlib.sha256(str(i).encode()).hexdigest()[: 3 + i % 9].encode() for i in range(500)]
    out = bytearray()
    i = 1
    while len(out) < size:
        i = i * 1103515245 + 12345 & 0x7FFFFFFF
        out += words[i >> 8 & 0x1FF if (i >> 8 & 0x1FF) < 500 else 7] + b" "
    return bytes(out[:size])


def loop():
    total = 0
    for i in range(10_000_000):
        total += i & 7
    return total


def main():
    what = sys.argv[1]
    text = data(4 << 20)
    work = {
        "deflate": lambda: [zlib.compress(text, 6) for _ in range(6)],
        "xz": lambda: lzma.compress(text[: 3 << 20], preset=6),
        "sha256": lambda: [hashlib.sha256(text).digest() for _ in range(256)],
        "loop": loop,
    }[what]
    start = time.perf_counter()
    work()
    print(f"{time.perf_counter() - start:.6f}")


main()
