/* Files in a writable directory: creating, naming, linking, reading, extending, listing, truncating; every error. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>

static char block[65536];

static int create(const char *path, const char *content)
{
    int file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (file < 0)
        return 0;
    size_t length = strlen(content);
    int written = write(file, content, length) == (ssize_t)length;
    return !close(file) && written;
}

static int holds(const char *path, const char *content)
{
    char text[256] = "";
    int file = open(path, O_RDONLY);
    if (file < 0)
        return 0;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    return got == (ssize_t)strlen(content) && !memcmp(text, content, (size_t)got);
}

static void opening(void)
{
    CHECK_ERRNO("open of nothing", open("nothing", O_RDONLY), ENOENT);
    CHECK_ERRNO("empty path", open("", O_RDONLY), ENOENT);
    CHECK_ERRNO("bad pointer", open((char *)8, O_RDONLY), EFAULT);
    CHECK("create", create("a", "first"));
    CHECK("read back", holds("a", "first"));
    CHECK_ERRNO("O_EXCL", open("a", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
    CHECK_ERRNO("O_DIRECTORY of a file", open("a", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO("below a file", open("a/b", O_RDONLY), ENOTDIR);
    CHECK_ERRNO("trailing slash", open("a/", O_RDONLY), ENOTDIR);
    CHECK_ERRNO("directory for writing", open(".", O_WRONLY), EISDIR);
    CHECK_ERRNO("create in nothing", open("nothing/b", O_CREAT | O_WRONLY, 0600), ENOENT);
    char *name = memset(malloc(5000), 'n', 4999);
    name[300] = 0;
    CHECK_ERRNO("long name", open(name, O_CREAT | O_WRONLY, 0600), ENAMETOOLONG);
    name[300] = 'n';
    name[4999] = 0;
    CHECK_ERRNO("long path", open(name, O_RDONLY), ENAMETOOLONG);
    free(name);
    int file = open("a", O_RDWR);
    CHECK("lowest descriptor", file == 3);
    CHECK("O_TRUNC", create("a", "2nd") && holds("a", "2nd"));
    CHECK("F_GETFL", (fcntl(file, F_GETFL) & (O_ACCMODE | O_APPEND)) == O_RDWR);
    close(file);
    CHECK_ERRNO("closed", read(file, block, 1), EBADF);
    CHECK_ERRNO("close twice", close(file), EBADF);
    file = open("a", O_PATH);
    struct stat status;
    CHECK("O_PATH", file >= 0 && !fstat(file, &status) && status.st_size == 3);
    CHECK_ERRNO("O_PATH does not read", read(file, block, 1), EBADF);
    close(file);
    file = open(".", O_TMPFILE | O_RDWR, 0600);
    CHECK("O_TMPFILE", file < 0 || (write(file, "t", 1) == 1 && !fstat(file, &status) && status.st_nlink == 0));
    if (file >= 0)
        close(file);
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    file = openat(directory, "a", O_RDONLY);
    CHECK("openat", file >= 0 && read(file, block, 10) == 3);
    CHECK_ERRNO("openat below a file", openat(file, "x", O_RDONLY), ENOTDIR);
    CHECK_ERRNO("read of a directory", read(directory, block, 1), EISDIR);
    close(file);
    close(directory);
}

static void reading_and_writing(void)
{
    int file = open("b", O_CREAT | O_RDWR | O_TRUNC, 0600);
    CHECK("write", write(file, "0123456789", 10) == 10);
    CHECK("lseek", lseek(file, 3, SEEK_SET) == 3 && lseek(file, 2, SEEK_CUR) == 5 && lseek(file, -1, SEEK_END) == 9);
    CHECK_ERRNO("lseek before the start", lseek(file, -100, SEEK_CUR), EINVAL);
    CHECK_ERRNO("lseek with bad whence", lseek(file, 0, 77), EINVAL);
    CHECK("pread leaves the offset", pread(file, block, 4, 2) == 4 && !memcmp(block, "2345", 4)
        && lseek(file, 0, SEEK_CUR) == 9);
    CHECK("pwrite", pwrite(file, "AB", 2, 4) == 2 && holds("b", "0123AB6789"));
    CHECK_ERRNO("pread at a negative offset", pread(file, block, 1, -1), EINVAL);
    struct iovec parts[2] = { { block, 3 }, { block + 100, 100 } };
    CHECK("preadv", preadv(file, parts, 2, 0) == 10 && !memcmp(block, "012", 3) && !memcmp(block + 100, "3AB", 3));
    CHECK("end of file", pread(file, block, 10, 10) == 0 && pread(file, block, 10, 1000000) == 0);
    CHECK("hole", pwrite(file, "end", 3, 1 << 20) == 3 && pread(file, block, 100, 5000) == 100 && block[50] == 0);
    struct stat status;
    CHECK("size", !fstat(file, &status) && status.st_size == (1 << 20) + 3);
    CHECK("SEEK_DATA", lseek(file, 0, SEEK_DATA) == 0);
    CHECK("SEEK_HOLE", lseek(file, 0, SEEK_HOLE) > 0);
    CHECK("ftruncate shrinks", !ftruncate(file, 5) && holds("b", "0123A"));
    CHECK("ftruncate grows with zeroes", !ftruncate(file, 8) && pread(file, block, 8, 0) == 8
        && !memcmp(block, "0123A\0\0\0", 8));
    CHECK("truncate", !truncate("b", 2) && holds("b", "01"));
    CHECK_ERRNO("ftruncate to a negative size", ftruncate(file, -1), EINVAL);
    CHECK("fsync", !fsync(file) && !fdatasync(file));
    CHECK("fallocate", !fallocate(file, 0, 0, 100) && !fstat(file, &status) && status.st_size == 100);
    close(file);

    int one = open("c", O_CREAT | O_WRONLY | O_TRUNC | O_APPEND, 0600), two = open("c", O_WRONLY | O_APPEND);
    CHECK("O_APPEND", write(one, "11", 2) == 2 && write(two, "22", 2) == 2 && write(one, "33", 2) == 2
        && holds("c", "112233"));
    CHECK("O_APPEND ignores seeking", lseek(one, 0, SEEK_SET) == 0 && write(one, "4", 1) == 1
        && holds("c", "1122334"));
    CHECK_ERRNO("read of a write-only file", read(one, block, 1), EBADF);
    close(one);
    close(two);
    file = open("c", O_RDONLY);
    CHECK_ERRNO("write to a read-only file", write(file, "x", 1), EBADF);
    CHECK_ERRNO("ftruncate of a read-only file", ftruncate(file, 0), EINVAL);
    int waiting = 0;
    CHECK("FIONREAD", !ioctl(file, FIONREAD, &waiting) && waiting == 7);
    CHECK_ERRNO("not a terminal", ioctl(file, TCGETS, block), ENOTTY);
    int other = open("d", O_CREAT | O_RDWR | O_TRUNC, 0600);
    CHECK("copy_file_range", copy_file_range(file, NULL, other, NULL, 100, 0) == 7 && holds("d", "1122334"));
    close(other);
    close(file);

    file = open("big", O_CREAT | O_RDWR | O_TRUNC, 0600);
    uint64_t sum = 0, again = 0;
    for (int i = 0; i < 100; i++) {
        for (size_t k = 0; k < sizeof block; k++)
            sum += (unsigned char)(block[k] = (char)((k * 31 + (size_t)i * 17) >> 3));
        if (write(file, block, sizeof block) != (ssize_t)sizeof block)
            break;
    }
    NEED(lseek(file, 0, SEEK_SET) == 0);
    ssize_t got;
    while ((got = read(file, block, 10007)) > 0)
        for (ssize_t k = 0; k < got; k++)
            again += (unsigned char)block[k];
    CHECK("6.4 MB written and read", sum == again && lseek(file, 0, SEEK_CUR) == 6553600);
    close(file);
    unlink("big");
}

static void names(void)
{
    struct stat one, two;
    NEED(create("e", "eee") && create("f", "fff"));
    CHECK("rename", !rename("e", "g") && holds("g", "eee"));
    CHECK_ERRNO("old name", open("e", O_RDONLY), ENOENT);
    CHECK("rename over", !rename("g", "f") && holds("f", "eee"));
    CHECK_ERRNO("rename of nothing", rename("nothing", "x"), ENOENT);
    CHECK("link", !link("f", "h") && !stat("f", &one) && !stat("h", &two) && one.st_ino == two.st_ino
        && one.st_nlink == 2);
    CHECK_ERRNO("link over", link("f", "h"), EEXIST);
    CHECK("rename onto itself", !rename("f", "h") && !access("f", F_OK));
    CHECK("unlink", !unlink("f") && holds("h", "eee"));
    CHECK_ERRNO("unlink of nothing", unlink("f"), ENOENT);
    CHECK_ERRNO("RENAME_NOREPLACE", (create("f", "new"), syscall(SYS_renameat2, AT_FDCWD, "h", AT_FDCWD, "f", 1)),
        EEXIST);
    CHECK("RENAME_EXCHANGE", !syscall(SYS_renameat2, AT_FDCWD, "h", AT_FDCWD, "f", 2) && holds("f", "eee")
        && holds("h", "new"));

    char target[64] = "";
    CHECK("symlink", !symlink("h", "s") && holds("s", "new"));
    CHECK("readlink", readlink("s", target, sizeof target) == 1 && target[0] == 'h');
    CHECK("readlink truncates", !symlink("abcdefgh", "t") && readlink("t", target, 3) == 3
        && !memcmp(target, "abc", 3));
    CHECK_ERRNO("readlink of a file", readlink("h", target, 9), EINVAL);
    CHECK_ERRNO("dangling", open("t", O_RDONLY), ENOENT);
    CHECK_ERRNO("O_NOFOLLOW", open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK("lstat", !lstat("s", &one) && S_ISLNK(one.st_mode) && one.st_size == 1);
    CHECK_ERRNO("symlink over", symlink("x", "s"), EEXIST);
    CHECK_ERRNO("symlink loop", (symlink("loop2", "loop1"), symlink("loop1", "loop2"), open("loop1", O_RDONLY)), ELOOP);
    CHECK("creating through a dangling link", !unlink("t") && !symlink("made", "t") && create("t", "yes")
        && holds("made", "yes"));
    CHECK("unlink removes the link", !unlink("s") && holds("h", "new"));

    CHECK("mkdir", !mkdir("dir", 0755) && !stat("dir", &one) && S_ISDIR(one.st_mode) && (one.st_mode & 0777) == 0755);
    CHECK_ERRNO("mkdir over", mkdir("dir", 0755), EEXIST);
    CHECK_ERRNO("rmdir of a file", rmdir("h"), ENOTDIR);
    CHECK_ERRNO("unlink of a directory", unlink("dir"), EISDIR);
    CHECK("nested", !mkdir("dir/in", 0700) && create("dir/in/file", "x") && holds("dir/../dir/./in//file", "x"));
    CHECK_ERRNO("rmdir of a full directory", rmdir("dir"), ENOTEMPTY);
    CHECK_ERRNO("rename into its own child", rename("dir", "dir/in/dir"), EINVAL);
    CHECK_ERRNO("rename of a directory over a file", rename("dir", "h"), ENOTDIR);
    CHECK_ERRNO("rename of a file over a directory", rename("h", "dir"), EISDIR);
    CHECK("rename of a directory", !rename("dir", "moved") && holds("moved/in/file", "x"));
    CHECK_ERRNO("rmdir of dot", rmdir("moved/."), EINVAL);
    int directory = open("moved", O_RDONLY | O_DIRECTORY);
    CHECK("mkdirat, unlinkat", !mkdirat(directory, "sub", 0700) && !unlinkat(directory, "sub", AT_REMOVEDIR));
    CHECK("linkat", !linkat(directory, "in/file", AT_FDCWD, "linked", 0) && holds("linked", "x"));
    CHECK("renameat", !renameat(AT_FDCWD, "linked", directory, "back") && holds("moved/back", "x"));
    CHECK("symlinkat, readlinkat", !symlinkat("in/file", directory, "sym")
        && readlinkat(directory, "sym", target, 64) == 7 && holds("moved/sym", "x"));
    close(directory);

    int file = open("h", O_RDONLY);
    CHECK("an open file outlives its name", !unlink("h") && read(file, block, 10) == 3 && !fstat(file, &one)
        && one.st_nlink == 0);
    close(file);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void listing(void)
{
    char path[64], *seen[600];
    NEED(!mkdir("many", 0755));
    for (int i = 0; i < 500; i++) {
        snprintf(path, sizeof path, "many/entry-%03d-with-a-name-of-some-length", i);
        NEED(create(path, ""));
    }
    NEED(!mkdir("many/directory", 0700) && !symlink("x", "many/symlink"));
    int count = 0, types = 0;
    DIR *directory = opendir("many");
    for (struct dirent *entry; count < 600 && (entry = readdir(directory));) {
        seen[count++] = strdup(entry->d_name);
        types += (entry->d_type == DT_DIR) * 1000 + (entry->d_type == DT_LNK) * 100000 + (entry->d_type == DT_REG);
    }
    qsort(seen, (size_t)count, sizeof *seen, compare);
    CHECK("all entries, once", count == 504 && !strcmp(seen[0], ".") && !strcmp(seen[1], "..")
        && !strcmp(seen[3], "entry-000-with-a-name-of-some-length") && !strcmp(seen[503], "symlink"));
    CHECK("their types", types == 103500);
    rewinddir(directory);
    NEED(readdir(directory) && readdir(directory) && readdir(directory));
    long place = telldir(directory);
    struct dirent *entry = readdir(directory);
    char fourth[256];
    snprintf(fourth, sizeof fourth, "%s", entry->d_name);
    for (int i = 0; i < 50; i++)
        readdir(directory);
    seekdir(directory, place);
    entry = readdir(directory);
    CHECK("seekdir", entry && !strcmp(entry->d_name, fourth));
    closedir(directory);
    int removed = 0;
    directory = opendir("many");
    while ((entry = readdir(directory)))
        if (entry->d_name[0] == 'e')
            removed += !unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    CHECK("removing while listing", removed == 500 && !rmdir("many/directory") && !unlink("many/symlink")
        && !rmdir("many"));
    CHECK_ERRNO("getdents of a file", syscall(SYS_getdents64, open("f", O_RDONLY), block, 1000), ENOTDIR);
    int small = open(".", O_RDONLY);
    CHECK_ERRNO("getdents into too little", syscall(SYS_getdents64, small, block, 5), EINVAL);
    close(small);
}

static void attributes(void)
{
    struct stat status;
    NEED(create("m", "mmm"));
    CHECK("chmod", !chmod("m", 0640) && !stat("m", &status) && (status.st_mode & 07777) == 0640);
    int file = open("m", O_RDWR);
    CHECK("fchmod", !fchmod(file, 0600) && !fstat(file, &status) && (status.st_mode & 07777) == 0600);
    CHECK("fchmodat", !fchmodat(AT_FDCWD, "m", 0400, 0) && !stat("m", &status) && (status.st_mode & 07777) == 0400);
    CHECK("chown to oneself", !fchown(file, getuid(), getgid()) && !fstat(file, &status)
        && status.st_uid == getuid() && status.st_gid == getgid());
    CHECK("defaults", status.st_nlink == 1 && status.st_size == 3 && status.st_blksize >= 512);
    struct timespec times[2] = { { 1000000000, 123000000 }, { 1100000000, 456000000 } };
    CHECK("utimensat", !utimensat(AT_FDCWD, "m", times, 0) && !stat("m", &status)
        && status.st_atim.tv_sec == 1000000000 && status.st_mtim.tv_sec == 1100000000
        && status.st_mtim.tv_nsec == 456000000);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    CHECK("UTIME_OMIT and UTIME_NOW", !futimens(file, times) && !fstat(file, &status)
        && status.st_atim.tv_sec == 1000000000 && status.st_mtim.tv_sec > 1500000000);
    time_t before = status.st_mtim.tv_sec;
    CHECK("writing updates the time", write(file, "x", 1) == 1 && !fstat(file, &status)
        && status.st_mtim.tv_sec >= before && status.st_ctim.tv_sec >= before);
    close(file);
    umask(077);
    NEED(create("n", ""));
    CHECK("umask", !stat("n", &status) && (status.st_mode & 07777) == 0600);
    CHECK("umask of mkdir", !mkdir("o", 0777) && !stat("o", &status) && (status.st_mode & 07777) == 0700);
    umask(022);
    struct statfs system;
    CHECK("statfs", !statfs(".", &system) && system.f_bsize >= 512 && system.f_namelen >= 255 && system.f_blocks > 0);
    CHECK_ERRNO("xattr", getxattr("m", "user.none", block, 10) == -1 && (errno == ENODATA || errno == EOPNOTSUPP)
        ? (errno = ENODATA, -1L) : 0L, ENODATA);
}

static void deleted(void)
{
    char path[64], buffer[8] = "";
    struct stat status;
    int file = open("gone", O_CREAT | O_RDWR | O_TRUNC, 0600);
    NEED(file >= 0 && write(file, "text", 4) == 4 && !unlink("gone"));
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int again = open(path, O_RDONLY);
    CHECK("a deleted file is opened again", again >= 0 && read(again, buffer, 8) == 4 && !memcmp(buffer, "text", 4));
    CHECK("with a position of its own", !lseek(again, 0, SEEK_SET) && lseek(file, 0, SEEK_CUR) == 4);
    int cut = open(path, O_WRONLY | O_TRUNC);
    CHECK("and cut", cut >= 0 && !fstat(file, &status) && status.st_size == 0);
    close(file);
    CHECK("and outlives the first", write(cut, "new", 3) == 3 && pread(again, buffer, 8, 0) == 3
        && !memcmp(buffer, "new", 3));
    close(cut);
    close(again);
}

int main(void)
{
    umask(022);
    opening();
    deleted();
    reading_and_writing();
    names();
    listing();
    attributes();
    return finish();
}
