#!/usr/bin/python3
# sqlite3 on disk, tempfile, pathlib, shutil, mmap, fcntl, ctypes, zipfile, tarfile, logging.
import ctypes, errno, fcntl, glob, logging, mmap, os, pathlib, platform, shutil, sqlite3, stat, sys, tarfile, tempfile, zipfile

database = sqlite3.connect("data.sqlite")
database.execute("pragma journal_mode=wal")
database.execute("create table item (id integer primary key, name text unique, value real)")
with database:
    database.executemany("insert into item (name, value) values (?, ?)", ((f"name{i}", i / 3) for i in range(5000)))
print(database.execute("select count(*), round(sum(value), 3) from item where id % 7 = 0").fetchone())
try:
    with database:
        database.execute("insert into item (name) values ('name1')")
except sqlite3.IntegrityError as error:
    print(error)
second = sqlite3.connect("data.sqlite", timeout=0.1)
database.execute("begin immediate")
try:
    second.execute("begin immediate")
except sqlite3.OperationalError as error:
    print(error)
database.rollback(); second.close()
database.execute("delete from item where id > 100"); database.commit(); database.execute("vacuum")
print(database.execute("pragma integrity_check").fetchone(), database.execute("select max(id) from item").fetchone())
database.close()
print(sorted(p.name for p in pathlib.Path(".").glob("data*")))
rollback = sqlite3.connect("other.sqlite"); rollback.execute("create table t (x)"); rollback.execute("insert into t values (1)"); rollback.commit(); rollback.close()

with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / "deep" / "er"
    path.mkdir(parents=True); (path / "f").write_text("text\n"); (path / "l").symlink_to("f")
    print((path / "l").read_text(), sorted(os.listdir(path)), (path / "l").resolve().name, sum(len(f) for _, _, f in os.walk(directory)))
    shutil.copytree(directory + "/deep", directory + "/copy", symlinks=True)
    print(len(glob.glob(directory + "/**/f", recursive=True)), shutil.disk_usage(directory).total > 0)
print(os.path.exists(directory))
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x" * 10000); file.flush()
    print(os.stat(file.name).st_size, stat.filemode(os.stat(file.name).st_mode))
with tempfile.TemporaryFile() as file:
    file.truncate(8192)
    with mmap.mmap(file.fileno(), 8192) as mapped:
        mapped[100:105] = b"hello"; mapped.flush()
        file.seek(100); print(file.read(5), mapped.find(b"lo"))
with mmap.mmap(-1, 4096) as anonymous:
    if os.fork() == 0:
        anonymous[0] = 7
        os._exit(0)
    os.wait(); print(anonymous[0])
with open("locked", "w") as one, open("locked") as two:
    fcntl.flock(one, fcntl.LOCK_EX)
    try:
        fcntl.flock(two, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        print(errno.errorcode[error.errno])

libc = ctypes.CDLL(None, use_errno=True)
print(libc.abs(-5), libc.open(b"/nonexistent", 0), errno.errorcode[ctypes.get_errno()])
buffer = ctypes.create_string_buffer(50); libc.snprintf(buffer, 50, b"%s-%d", b"formatted", 42); print(buffer.value)
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 5)(5, 3, 9, 1, 7); libc.qsort(numbers, 5, 4, compare(lambda a, b: a[0] - b[0])); print(list(numbers))
libm = ctypes.CDLL("libm.so.6"); libm.cos.restype = ctypes.c_double; libm.cos.argtypes = [ctypes.c_double]; print(libm.cos(0.0))

with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as archive: archive.writestr("member", "content" * 1000)
print(zipfile.ZipFile("a.zip").read("member") == b"content" * 1000, zipfile.ZipFile("a.zip").testzip())
with tarfile.open("a.tar.gz", "w:gz") as archive: archive.add("a.zip")
print(tarfile.open("a.tar.gz").getnames())
logging.basicConfig(filename="log", format="%(levelname)s %(message)s"); logging.warning("logged"); print(open("log").read(), end="")
print(platform.system(), platform.machine(), sys.byteorder, os.cpu_count() == len(os.sched_getaffinity(0)))
with open("big", "wb") as file: file.seek(1 << 30); file.write(b"e")
print(os.path.getsize("big")); os.remove("big")
os.rename("a.zip", "b.zip"); os.link("b.zip", "c.zip"); print(os.stat("c.zip").st_nlink, os.path.samefile("b.zip", "c.zip"))
print([entry.name for entry in sorted(os.scandir("."), key=lambda e: e.name) if entry.is_file()])
