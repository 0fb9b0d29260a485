/* File locks: flock between descriptions, POSIX record locks between processes, open-file-description locks. */
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

static int record(int file, int command, short type, off_t from, off_t length, struct flock *result)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = length };
    int outcome = fcntl(file, command, &lock);
    if (result)
        *result = lock;
    return outcome;
}

static int in_child(int (*test)(int), int file)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (!child)
        _exit(test(file) ? 0 : 1);
    int status = -1;
    NEED(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int refused_there(int file)
{
    struct flock lock;
    return record(file, F_SETLK, F_WRLCK, 15, 1, NULL) == -1 && (errno == EAGAIN || errno == EACCES)
        && !record(file, F_GETLK, F_WRLCK, 0, 0, &lock) && lock.l_type == F_WRLCK && lock.l_pid == getppid()
        && lock.l_start == 10 && lock.l_len == 10;
}

static int granted_elsewhere(int file) { return !record(file, F_SETLK, F_WRLCK, 20, 5, NULL); }
static int shared_read(int file) { return !record(file, F_SETLK, F_RDLCK, 0, 0, NULL); }
static int free_again(int file) { return !record(file, F_SETLK, F_WRLCK, 0, 0, NULL); }

static int waits(int file)
{
    return !record(file, F_SETLKW, F_WRLCK, 0, 0, NULL);
}

int main(void)
{
    int one = open("locked", O_CREAT | O_RDWR | O_TRUNC, 0600), two = open("locked", O_RDWR);
    NEED(one >= 0 && two >= 0);
    CHECK("flock", !flock(one, LOCK_EX));
    CHECK_ERRNO("another description is refused", flock(two, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    CHECK_ERRNO("also for reading", flock(two, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    CHECK("downgrade", !flock(one, LOCK_SH) && !flock(two, LOCK_SH | LOCK_NB));
    CHECK_ERRNO("no upgrade while shared", flock(one, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    CHECK("unlock", !flock(two, LOCK_UN) && !flock(one, LOCK_EX | LOCK_NB));
    int copy = dup(one);
    CHECK("a copy is the same description", !flock(copy, LOCK_EX | LOCK_NB));
    close(one);
    CHECK_ERRNO("held until the last copy", flock(two, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    close(copy);
    CHECK("released by close", !flock(two, LOCK_EX | LOCK_NB) && !flock(two, LOCK_UN));

    CHECK("record lock", !record(two, F_SETLK, F_WRLCK, 10, 10, NULL));
    CHECK("own lock does not conflict", !record(two, F_SETLK, F_WRLCK, 12, 2, NULL));
    CHECK("another process is refused", in_child(refused_there, two));
    CHECK("elsewhere it is granted", in_child(granted_elsewhere, two));
    CHECK("read lock", !record(two, F_SETLK, F_RDLCK, 10, 10, NULL));
    CHECK("read locks are shared", in_child(shared_read, two));
    one = open("locked", O_RDWR);
    close(one);
    CHECK("closing any descriptor releases them", in_child(free_again, two));

    int ends[2];
    char byte = 0;
    NEED(!pipe(ends));
    pid_t child = fork();
    if (!child) {
        if (record(two, F_SETLK, F_WRLCK, 0, 0, NULL))
            _exit(1);
        if (write(ends[1], "l", 1) != 1)
            _exit(1);
        usleep(80000);
        _exit(0);
    }
    NEED(read(ends[0], &byte, 1) == 1);
    CHECK("F_SETLKW waits for the owner's death", waits(two));
    NEED(waitpid(child, NULL, 0) == child);
    NEED(!record(two, F_SETLK, F_UNLCK, 0, 0, NULL));

    one = open("locked", O_RDWR);
    CHECK("description lock", !record(one, F_OFD_SETLK, F_WRLCK, 0, 0, NULL));
    CHECK_ERRNO("conflicts within one process", record(two, F_OFD_SETLK, F_WRLCK, 0, 0, NULL), EAGAIN);
    CHECK_ERRNO("and with record locks", record(two, F_SETLK, F_WRLCK, 0, 0, NULL), EAGAIN);
    close(one);
    CHECK("released", !record(two, F_OFD_SETLK, F_WRLCK, 0, 0, NULL));
    CHECK_ERRNO("bad type", record(two, F_SETLK, 77, 0, 0, NULL), EINVAL);
    int reader = open("locked", O_RDONLY);
    CHECK_ERRNO("write lock on a read-only descriptor", record(reader, F_SETLK, F_WRLCK, 0, 0, NULL), EBADF);
    unlink("locked");
    return finish();
}
