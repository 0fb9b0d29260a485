/* The working directory, umask, relative paths, stat and its relatives, access, and their errors. */
#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

/* How often a name has nothing or a broken file while a child puts one new file after the other in its place. */
static int missing_while_replaced(void)
{
    int missing = 0, file = open("replaced", O_CREAT | O_WRONLY, 0644);
    NEED(file >= 0 && write(file, "whole", 5) == 5 && !close(file));
    pid_t child = fork();
    NEED(child >= 0);
    if (!child)
        for (int i = 0; ; i++) {
            int next = open("replaced.new", O_CREAT | O_WRONLY | O_TRUNC, 0644);
            if (next < 0 || write(next, "whole", 5) != 5 || close(next) || rename("replaced.new", "replaced"))
                _exit(1);
            if (i == 3000)
                _exit(0);
        }
    int status = -1;
    while (waitpid(child, &status, WNOHANG) == 0) {
        struct stat found;
        char text[8];
        int reading = open("replaced", O_RDONLY);
        missing += reading < 0 || read(reading, text, sizeof text) != 5 || close(reading);
        missing += stat("replaced", &found) || found.st_size != 5;
        missing += access("replaced", R_OK) != 0;
    }
    NEED(status == 0 && !unlink("replaced"));
    return missing;
}

int main(void)
{
    char path[PATH_MAX], other[PATH_MAX];
    struct stat one, two;
    umask(022);
    int home = open(".", O_RDONLY | O_DIRECTORY);
    NEED(home >= 0 && !mkdir("here", 0755) && !mkdir("here/below", 0755) && !symlink("here/below", "short"));
    CHECK("chdir", !chdir("here/below") && getcwd(path, sizeof path) && ends_with(path, "/here/below"));
    CHECK("relative", !chdir("..") && getcwd(path, sizeof path) && ends_with(path, "/here"));
    CHECK("fchdir", !fchdir(home) && getcwd(path, sizeof path) && !ends_with(path, "/here"));
    CHECK("through a symlink", !chdir("short") && getcwd(other, sizeof other) && ends_with(other, "/here/below"));
    CHECK("dot-dot of it", !stat("..", &one) && !fchdir(home) && !stat("here", &two) && one.st_ino == two.st_ino);
    CHECK_ERRNO("chdir to nothing", chdir("nothing"), ENOENT);
    int file = open("file", O_CREAT | O_WRONLY, 0644);
    NEED(file >= 0 && write(file, "12345", 5) == 5);
    CHECK_ERRNO("chdir to a file", chdir("file"), ENOTDIR);
    CHECK_ERRNO("fchdir to a file", fchdir(file), ENOTDIR);
    CHECK_ERRNO("getcwd into too little", getcwd(path, 1) ? 0 : -1, ERANGE);
    CHECK("above the root is the root", !chdir("/") && !chdir("../../..") && getcwd(path, sizeof path)
        && !strcmp(path, "/") && !fchdir(home));
    pid_t child = fork();
    if (!child) {
        if (chdir("here/below") || umask(077) != 022)
            _exit(1);
        _exit(rmdir("../below") || getcwd(path, sizeof path) || errno != ENOENT);
    }
    int status = -1;
    CHECK("a removed working directory", waitpid(child, &status, 0) == child && status == 0);
    CHECK("a child's directory and umask are its own", umask(022) == 022 && getcwd(other, sizeof other)
        && !access("file", F_OK));

    CHECK("a file that is replaced is always there", missing_while_replaced() == 0);
    CHECK("stat", !stat("file", &one) && S_ISREG(one.st_mode) && one.st_size == 5 && one.st_nlink == 1
        && one.st_uid == getuid() && (one.st_mode & 07777) == 0644);
    CHECK("fstat agrees", !fstat(file, &two) && one.st_ino == two.st_ino && one.st_dev == two.st_dev);
    CHECK("fstatat", !fstatat(home, "file", &two, 0) && two.st_ino == one.st_ino);
    CHECK("fstatat with AT_EMPTY_PATH", !fstatat(file, "", &two, AT_EMPTY_PATH) && two.st_ino == one.st_ino);
    CHECK("fstatat with AT_SYMLINK_NOFOLLOW", !fstatat(home, "short", &two, AT_SYMLINK_NOFOLLOW)
        && S_ISLNK(two.st_mode));
    CHECK_ERRNO("fstatat with bad flags", fstatat(home, "file", &two, 0x40000000), EINVAL);
    CHECK_ERRNO("fstatat with a bad descriptor", fstatat(900, "file", &two, 0), EBADF);
    CHECK("an absolute path needs no descriptor", !fstatat(900, "/", &two, 0) && S_ISDIR(two.st_mode));
    CHECK_ERRNO("stat of nothing", stat("nothing", &one), ENOENT);
    CHECK_ERRNO("stat of an empty path", stat("", &one), ENOENT);
    CHECK_ERRNO("stat below a file", stat("file/x", &one), ENOTDIR);
    CHECK_ERRNO("stat into a bad pointer", stat("file", (struct stat *)8), EFAULT);
    struct statx extended;
    CHECK("statx", !statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &extended) && extended.stx_size == 5
        && (extended.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS && S_ISREG(extended.stx_mode));
    CHECK("statx agrees", !stat("file", &one) && extended.stx_ino == one.st_ino
        && makedev(extended.stx_dev_major, extended.stx_dev_minor) == one.st_dev
        && extended.stx_mtime.tv_sec == one.st_mtim.tv_sec && extended.stx_mtime.tv_nsec == one.st_mtim.tv_nsec);
    CHECK_ERRNO("statx with bad flags", statx(AT_FDCWD, "file", 0x40000000, STATX_ALL, &extended), EINVAL);

    CHECK("access", !access("file", R_OK | W_OK) && !access("here", X_OK));
    CHECK_ERRNO("access: not executable", access("file", X_OK), EACCES);
    CHECK_ERRNO("access: nothing there", access("nothing", F_OK), ENOENT);
    CHECK_ERRNO("access: bad mode", access("file", 077), EINVAL);
    CHECK("faccessat", !faccessat(home, "file", R_OK, 0));
    CHECK("a program of the system", !access("/bin/sh", X_OK) && !stat("/usr/bin/env", &one) && S_ISREG(one.st_mode));
    CHECK("realpath", realpath("here/..", path) && !strcmp(path, other));
    umask(027);
    NEED(!mkdir("masked", 0777));
    CHECK("umask", !stat("masked", &one) && (one.st_mode & 07777) == 0750 && umask(0) == 027);
    return finish();
}
