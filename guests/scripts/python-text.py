#!/usr/bin/python3
# json, re, hashlib, pickle, decimal, struct, zlib: computing without much help from the system.
import base64, collections, csv, decimal, fractions, hashlib, hmac, io, json, math, pickle, random, re, struct
import statistics, textwrap, zlib, bz2, lzma, datetime, itertools, functools, unicodedata, string, heapq

data = {"name": "guest", "values": [1, 2.5, None, True, "\u00e4\u20ac"], "nested": {str(i): i * i for i in range(5)}}
text = json.dumps(data, sort_keys=True)
print(text)
assert json.loads(text) == data and pickle.loads(pickle.dumps(data)) == data
print(re.sub(r"(\w+)@(\w+)\.org", r"\2 at \1", "mail a@b.org and c@d.org"))
print(re.findall(r"(?P<y>\d{4})-(?P<m>\d\d)", "2024-01 and 1999-12"), len(re.split(r"[,;\s]+", "a, b;c  d")))
block = bytes(range(256)) * 4096
for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"):
    print(name, hashlib.new(name, block).hexdigest()[:32])
print(hmac.new(b"key", block, "sha256").hexdigest()[:32], hashlib.pbkdf2_hmac("sha256", b"p", b"s", 1000).hex()[:32])
print(zlib.crc32(block), len(zlib.decompress(zlib.compress(block, 9))), len(bz2.decompress(bz2.compress(block))),
      len(lzma.decompress(lzma.compress(block))))
decimal.getcontext().prec = 50
print(decimal.Decimal(2).sqrt(), fractions.Fraction(1, 3) + fractions.Fraction(1, 6), math.factorial(50))
random.seed(42)
print([random.randint(0, 100) for _ in range(5)], round(random.gauss(0, 1), 6))
print(struct.unpack("<IhB", struct.pack("<IhB", 1, -2, 3)), base64.b64encode(b"binary\0").decode())
print(statistics.stdev([1, 2, 3, 4]), datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc).isoformat())
out = io.StringIO(); csv.writer(out).writerows([["a,b", 1], ['"q"', 2]]); print(out.getvalue().split())
print(collections.Counter("mississippi").most_common(2), unicodedata.name("\u20ac"), textwrap.shorten("a b c " * 9, 20))
print(sum(itertools.islice((x * x for x in itertools.count()), 1000)), functools.reduce(lambda a, b: a ^ b, range(1000)))
print(heapq.nsmallest(3, [(i * 7919) % 1000 for i in range(1000)]), len("".join(sorted(string.printable))))
sieve = bytearray([1]) * 200000
for i in range(2, 448):
    if sieve[i]:
        sieve[i * i::i] = bytes(len(range(i * i, 200000, i)))
print(sum(sieve) - 2)
