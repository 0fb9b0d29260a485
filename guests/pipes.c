/* Pipes: order, blocking, capacity, atomicity, end of file, splicing, and FIFOs. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

static void reap(pid_t child, const char *name)
{
    int status = -1;
    NEED(waitpid(child, &status, 0) == child);
    CHECK(name, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void stream(void)
{
    int ends[2];
    NEED(!pipe(ends));
    pid_t child = fork();
    if (!child) {
        close(ends[0]);
        unsigned char block[5000];
        uint32_t state = 1;
        for (int sent = 0; sent < 3000000; sent += 5000) {
            for (int i = 0; i < 5000; i++)
                block[i] = (unsigned char)((state = state * 1103515245 + 12345) >> 16);
            if (write(ends[1], block, 5000) != 5000)
                _exit(1);
        }
        _exit(0);
    }
    close(ends[1]);
    uint32_t state = 1;
    long total = 0, wrong = 0;
    unsigned char block[7777];
    ssize_t got;
    while ((got = read(ends[0], block, sizeof block)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            wrong += block[i] != (unsigned char)((state = state * 1103515245 + 12345) >> 16);
        total += got;
    }
    CHECK("3 MB arrive in order", total == 3000000 && wrong == 0);
    reap(child, "writer");
    close(ends[0]);
}

static void capacity(void)
{
    int ends[2], waiting = 0;
    NEED(!pipe2(ends, O_NONBLOCK | O_CLOEXEC));
    char block[4096] = { 0 };
    CHECK_ERRNO("empty", read(ends[0], block, 1), EAGAIN);
    long held = 0;
    ssize_t written;
    while ((written = write(ends[1], block, sizeof block)) > 0)
        held += written;
    CHECK("full", written == -1 && errno == EAGAIN && held == 65536);
    CHECK("F_GETPIPE_SZ", fcntl(ends[1], F_GETPIPE_SZ) == 65536);
    CHECK("FIONREAD", !ioctl(ends[0], FIONREAD, &waiting) && waiting == 65536);
    struct pollfd one = { ends[1], POLLOUT, 0 };
    CHECK("full pipe is not writable", poll(&one, 1, 0) == 0);
    CHECK("read one page", read(ends[0], block, 4096) == 4096);
    CHECK("writable again", poll(&one, 1, 0) == 1 && one.revents == POLLOUT);
    CHECK("write of a page", write(ends[1], block, 4096) == 4096);
    CHECK("read 10", read(ends[0], block, 10) == 10);
    CHECK_ERRNO("an atomic write waits for room", write(ends[1], block, 4096), EAGAIN);
    CHECK("F_SETPIPE_SZ", fcntl(ends[1], F_SETPIPE_SZ, 131072) == 131072);
    CHECK("grown", write(ends[1], block, 4096) == 4096);
    CHECK_ERRNO("seek", lseek(ends[0], 0, SEEK_SET), ESPIPE);
    CHECK_ERRNO("read of the write end", read(ends[1], block, 1), EBADF);
    CHECK_ERRNO("write to the read end", write(ends[0], block, 1), EBADF);
    CHECK_ERRNO("pread", pread(ends[0], block, 1, 0), ESPIPE);
    struct stat status;
    CHECK("fstat", !fstat(ends[0], &status) && S_ISFIFO(status.st_mode));
    one.fd = ends[0];
    one.events = POLLIN;
    close(ends[1]);
    CHECK("hang-up", poll(&one, 1, 0) == 1 && one.revents == (POLLIN | POLLHUP));
    while (read(ends[0], block, sizeof block) > 0)
        ;
    CHECK("end of file", read(ends[0], block, 1) == 0);
    CHECK("hang-up alone", poll(&one, 1, 0) == 1 && one.revents == POLLHUP);
    close(ends[0]);
    NEED(!pipe(ends));
    close(ends[0]);
    one.fd = ends[1];
    one.events = POLLOUT;
    CHECK("no reader: POLLERR", poll(&one, 1, 0) == 1 && one.revents == (POLLOUT | POLLERR));
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO("EPIPE", write(ends[1], block, 1), EPIPE);
    close(ends[1]);
    CHECK_ERRNO("pipe2 with bad flags", pipe2(ends, 0x1), EINVAL);
    CHECK_ERRNO("pipe with a bad pointer", pipe((int *)8), EFAULT);
}

static void vectors(void)
{
    int ends[2];
    NEED(!pipe(ends));
    char a[4], b[8] = "";
    struct iovec out[3] = { { "abc", 3 }, { NULL, 0 }, { "defgh", 5 } };
    struct iovec in[2] = { { a, 4 }, { b, 8 } };
    CHECK("writev", writev(ends[1], out, 3) == 8);
    CHECK("readv", readv(ends[0], in, 2) == 8 && !memcmp(a, "abcd", 4) && !memcmp(b, "efgh", 4));
    CHECK_ERRNO("too many vectors", writev(ends[1], out, 2000), EINVAL);
    CHECK_ERRNO("bad buffer", write(ends[1], (char *)8, 10), EFAULT);
    CHECK("nothing", write(ends[1], "", 0) == 0);
    close(ends[0]);
    close(ends[1]);
}

static void splicing(void)
{
    int file = open("spliced", O_CREAT | O_RDWR | O_TRUNC, 0600), ends[2];
    NEED(file >= 0 && !pipe(ends) && write(file, "0123456789", 10) == 10);
    char text[16] = "";
    off_t from = 2;
    CHECK("sendfile to a pipe", sendfile(ends[1], file, &from, 5) == 5 && from == 7);
    CHECK("its bytes", read(ends[0], text, 16) == 5 && !memcmp(text, "23456", 5));
    loff_t at = 8;
    CHECK("splice from a file", splice(file, &at, ends[1], NULL, 100, 0) == 2 && at == 10);
    CHECK("its bytes", read(ends[0], text, 16) == 2 && !memcmp(text, "89", 2));
    NEED(write(ends[1], "xyz", 3) == 3);
    at = 1;
    CHECK("splice to a file", splice(ends[0], NULL, file, &at, 3, 0) == 3);
    CHECK("its bytes", pread(file, text, 16, 0) == 10 && !memcmp(text, "0xyz456789", 10));
    int other[2];
    NEED(!pipe(other) && write(ends[1], "tee", 3) == 3);
    CHECK("tee", tee(ends[0], other[1], 100, 0) == 3);
    CHECK("tee keeps", read(ends[0], text, 16) == 3 && read(other[0], text + 3, 8) == 3 && !memcmp(text, "teetee", 6));

    /* What fits, at once: who is to read it is this thread. */
    static char block[131072] __attribute__((aligned(4096)));
    struct iovec whole = { block, sizeof block };
    NEED(!ftruncate(file, sizeof block));
    at = from = 0;
    CHECK("vmsplice of more than fits", vmsplice(ends[1], &whole, 1, 0) == 65536);
    CHECK_ERRNO("vmsplice to a full pipe", vmsplice(ends[1], &whole, 1, SPLICE_F_NONBLOCK), EAGAIN);
    NEED(write(other[1], block, 20480) == 20480);
    CHECK("tee of more than fits", tee(ends[0], other[1], 65536, 0) == 45056);
    NEED(read(other[0], block, 40960) == 40960);
    CHECK("splice of more than fits", splice(file, &at, other[1], NULL, sizeof block, 0) == 40960 && at == 40960);
    NEED(read(ends[0], block, 65536) == 65536);
    CHECK("sendfile of more than fits", sendfile(ends[1], file, &from, sizeof block) == 65536 && from == 65536);
    close(file);
    unlink("spliced");
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(other[i]);
    }
}

static void fifo(void)
{
    unlink("fifo");
    NEED(!mkfifo("fifo", 0600));
    CHECK_ERRNO("no reader", open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    pid_t child = fork();
    if (!child) {
        int end = open("fifo", O_WRONLY);
        _exit(end < 0 || write(end, "via fifo", 8) != 8);
    }
    int end = open("fifo", O_RDONLY);
    char text[16] = "";
    ssize_t total = 0, got;
    while ((got = read(end, text + total, sizeof text - (size_t)total)) > 0)
        total += got;
    CHECK("FIFO", total == 8 && !memcmp(text, "via fifo", 8));
    reap(child, "writer of the FIFO");
    close(end);
    unlink("fifo");
}

int main(void)
{
    stream();
    capacity();
    vectors();
    splicing();
    fifo();
    return finish();
}
