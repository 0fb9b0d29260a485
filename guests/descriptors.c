/* Descriptors: dup and its relatives, close-on-exec, close_range, limits, flags shared between copies. */
#include "check.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int is_open(int descriptor) { return fcntl(descriptor, F_GETFD) != -1; }

int main(int argc, char **argv)
{
    if (argc > 1) {
        int kept = 0;
        for (int i = 3; i < 64; i++)
            kept += is_open(i);
        return kept == atoi(argv[1]) ? 0 : 1;
    }
    for (int i = 3; i < 64; i++)
        close(i);
    int file = open("/dev/null", O_RDWR);
    CHECK("lowest number", file == 3);
    CHECK("dup", dup(file) == 4);
    CHECK("dup2", dup2(file, 10) == 10 && is_open(10));
    CHECK("dup2 onto itself", dup2(file, file) == file);
    CHECK_ERRNO("dup3 onto itself", dup3(file, file, 0), EINVAL);
    CHECK_ERRNO("dup2 of a closed one", dup2(50, 11), EBADF);
    CHECK_ERRNO("dup2 far away", dup2(file, 1 << 30), EBADF);
    CHECK("dup3 with O_CLOEXEC", dup3(file, 12, O_CLOEXEC) == 12 && fcntl(12, F_GETFD) == FD_CLOEXEC);
    CHECK("copies have their own flag", fcntl(10, F_GETFD) == 0);
    CHECK("F_DUPFD", fcntl(file, F_DUPFD, 20) == 20 && fcntl(file, F_DUPFD, 20) == 21);
    CHECK("F_DUPFD_CLOEXEC", fcntl(file, F_DUPFD_CLOEXEC, 20) == 22 && fcntl(22, F_GETFD) == FD_CLOEXEC);
    CHECK("F_SETFD", !fcntl(21, F_SETFD, FD_CLOEXEC) && fcntl(21, F_GETFD) == FD_CLOEXEC);
    CHECK("FIOCLEX", !ioctl(20, FIOCLEX) && fcntl(20, F_GETFD) == FD_CLOEXEC && !ioctl(20, FIONCLEX)
        && fcntl(20, F_GETFD) == 0);
    CHECK("status flags are shared", !fcntl(10, F_SETFL, O_NONBLOCK | O_APPEND)
        && (fcntl(file, F_GETFL) & (O_NONBLOCK | O_APPEND)) == (O_NONBLOCK | O_APPEND));
    CHECK("the access mode never changes", (fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK_ERRNO("unknown command", fcntl(file, 9999), EINVAL);
    CHECK_ERRNO("closed descriptor", fcntl(55, F_GETFL), EBADF);

    char count[8];
    snprintf(count, sizeof count, "%d", 4); /* 3, 4, 10 and 20 */
    pid_t child = fork();
    if (!child) {
        execl("/proc/self/exe", "descriptors", count, (char *)NULL);
        _exit(126);
    }
    int status = -1;
    CHECK("close-on-exec", waitpid(child, &status, 0) == child && status == 0);

    CHECK("close_range", !syscall(SYS_close_range, 20, 100, 0) && !is_open(20) && !is_open(22) && is_open(12));
    CHECK("close_range with CLOEXEC", !syscall(SYS_close_range, 3, 11, 4) && fcntl(10, F_GETFD) == FD_CLOEXEC);
    CHECK_ERRNO("close_range backwards", syscall(SYS_close_range, 10, 5, 0), EINVAL);

    struct rlimit limit = { 16, 16 };
    struct rlimit old;
    NEED(!getrlimit(RLIMIT_NOFILE, &old));
    limit.rlim_max = old.rlim_max;
    NEED(!setrlimit(RLIMIT_NOFILE, &limit));
    char path[] = "/tmp/descriptors-XXXXXX", other[] = "/tmp/descriptors-XXXXXX-not";
    int small = mkstemp(path);
    NEED(small >= 0 && write(small, "abc", 3) == 3);
    memcpy(other, path, sizeof path - 1);
    int opened = 0, last = -1;
    for (int got; (got = open("/dev/null", O_RDONLY)) >= 0; opened++)
        last = got;
    CHECK("limit", errno == EMFILE && last == 15);
    CHECK_ERRNO("pipe at the limit", pipe((int[2]){ 0, 0 }), EMFILE);
    CHECK_ERRNO("dup at the limit", dup(3), EMFILE);
    CHECK_ERRNO("F_DUPFD beyond the limit", fcntl(3, F_DUPFD, 16), EINVAL);
    struct stat status_of;
    CHECK_ERRNO("O_TRUNC at the limit", open(path, O_WRONLY | O_TRUNC), EMFILE);
    CHECK("nothing is cut", !fstat(small, &status_of) && status_of.st_size == 3);
    CHECK_ERRNO("O_EXCL at the limit", open(other, O_WRONLY | O_CREAT | O_EXCL, 0600), EMFILE);
    CHECK_ERRNO("nothing is made", access(other, F_OK), ENOENT);
    unlink(path);
    close(7);
    CHECK("the gap is used", open("/dev/null", O_RDONLY) == 7);
    return finish();
}
