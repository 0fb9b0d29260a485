/* poll, select and epoll: readiness, timeouts, level, edge and one-shot triggering, nesting, and their errors. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void polls(void)
{
    int ends[2];
    char byte;
    NEED(!pipe(ends));
    struct pollfd set[4] = { { ends[0], POLLIN, 9 }, { ends[1], POLLOUT, 9 }, { -5, POLLIN, 9 }, { 900, POLLIN, 9 } };
    CHECK("poll", poll(set, 4, 0) == 2 && set[0].revents == 0 && set[1].revents == POLLOUT && set[2].revents == 0
        && set[3].revents == POLLNVAL);
    double start = now();
    CHECK("poll times out", poll(set, 1, 50) == 0 && now() - start >= 0.049);
    struct timespec little = { 0, 30000000 };
    start = now();
    CHECK("ppoll times out", ppoll(set, 1, &little, NULL) == 0 && now() - start >= 0.029);
    pid_t child = fork();
    if (!child) {
        nanosleep(&little, NULL);
        _exit(write(ends[1], "x", 1) != 1);
    }
    CHECK("poll wakes", poll(set, 1, 10000) == 1 && set[0].revents == POLLIN);
    waitpid(child, NULL, 0);

    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[0], &in);
    FD_SET(ends[1], &out);
    CHECK("select", select(ends[1] + 1, &in, &out, NULL, NULL) == 2 && FD_ISSET(ends[0], &in)
        && FD_ISSET(ends[1], &out));
    NEED(read(ends[0], &byte, 1) == 1);
    struct timeval time = { 0, 30000 };
    CHECK("select times out", select(ends[0] + 1, &in, NULL, NULL, &time) == 0 && !FD_ISSET(ends[0], &in)
        && time.tv_sec == 0 && time.tv_usec == 0);
    FD_SET(50, &in);
    CHECK_ERRNO("select of a closed descriptor", select(51, &in, NULL, NULL, &time), EBADF);
    CHECK_ERRNO("select with a negative count", select(-1, NULL, NULL, NULL, &time), EINVAL);
    struct timespec bad = { -1, 0 };
    CHECK_ERRNO("ppoll with bad time", ppoll(set, 1, &bad, NULL), EINVAL);
    CHECK_ERRNO("poll with a bad pointer", poll((struct pollfd *)8, 2, 0), EFAULT);
    close(ends[0]);
    close(ends[1]);
}

static void epolls(void)
{
    int ends[2], epoll = epoll_create1(EPOLL_CLOEXEC);
    char byte;
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x1122334455667788 }, got[4];
    NEED(epoll >= 0 && !pipe(ends));
    CHECK("add", !epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    CHECK_ERRNO("add twice", epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), EEXIST);
    CHECK_ERRNO("modify unknown", epoll_ctl(epoll, EPOLL_CTL_MOD, ends[1], &event), ENOENT);
    CHECK_ERRNO("add itself", epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event), EINVAL);
    int file = open("regular", O_CREAT | O_RDWR, 0600);
    CHECK_ERRNO("add a regular file", epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event), EPERM);
    close(file);
    unlink("regular");
    CHECK("nothing", epoll_wait(epoll, got, 4, 0) == 0);
    double start = now();
    CHECK("timeout", epoll_wait(epoll, got, 4, 40) == 0 && now() - start >= 0.039);
    NEED(write(ends[1], "ab", 2) == 2);
    CHECK("level", epoll_wait(epoll, got, 4, 1000) == 1 && got[0].events == EPOLLIN
        && got[0].data.u64 == 0x1122334455667788);
    CHECK("level again", epoll_wait(epoll, got, 4, 0) == 1);
    event.events = EPOLLIN | EPOLLET;
    CHECK("modify", !epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event));
    CHECK("edge reports what is there", epoll_wait(epoll, got, 4, 0) == 1);
    CHECK("edge once", epoll_wait(epoll, got, 4, 0) == 0);
    NEED(write(ends[1], "c", 1) == 1);
    CHECK("edge on new data", epoll_wait(epoll, got, 4, 0) == 1 && epoll_wait(epoll, got, 4, 0) == 0);
    event.events = EPOLLIN | EPOLLONESHOT;
    NEED(!epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event));
    CHECK("one-shot", epoll_wait(epoll, got, 4, 0) == 1);
    NEED(write(ends[1], "d", 1) == 1);
    CHECK("disarmed", epoll_wait(epoll, got, 4, 0) == 0);
    NEED(!epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event));
    CHECK("armed again", epoll_wait(epoll, got, 4, 0) == 1);

    int outer = epoll_create1(0);
    event.events = EPOLLIN;
    NEED(!epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event));
    CHECK("nested", !epoll_ctl(outer, EPOLL_CTL_ADD, epoll, &event) && epoll_wait(outer, got, 4, 0) == 1);
    CHECK_ERRNO("loop", epoll_ctl(epoll, EPOLL_CTL_ADD, outer, &event), ELOOP);
    struct pollfd one = { epoll, POLLIN, 0 };
    CHECK("an epoll polls", poll(&one, 1, 0) == 1 && one.revents == POLLIN);
    for (int i = 0; i < 4; i++)
        NEED(read(ends[0], &byte, 1) == 1);
    CHECK("drained", poll(&one, 1, 0) == 0 && epoll_wait(outer, got, 4, 0) == 0);

    pid_t child = fork();
    if (!child) {
        struct timespec little = { 0, 30000000 };
        nanosleep(&little, NULL);
        _exit(write(ends[1], "x", 1) != 1);
    }
    CHECK("epoll wakes through two levels", epoll_wait(outer, got, 4, 10000) == 1);
    waitpid(child, NULL, 0);
    NEED(read(ends[0], &byte, 1) == 1);
    int copy = dup(ends[1]);
    close(ends[1]);
    CHECK("no hang-up while a copy is open", epoll_wait(epoll, got, 4, 0) == 0);
    close(copy);
    CHECK("hang-up", epoll_wait(epoll, got, 4, 0) == 1 && got[0].events == EPOLLHUP);
    CHECK("remove", !epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL) && epoll_wait(epoll, got, 4, 0) == 0);
    NEED(!epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    close(ends[0]);
    CHECK("closing removes", epoll_wait(epoll, got, 4, 0) == 0);
    CHECK_ERRNO("no room for events", epoll_wait(epoll, got, 0, 0), EINVAL);
    CHECK_ERRNO("not an epoll", epoll_wait(1, got, 1, 0), EINVAL);
    CHECK_ERRNO("bad descriptor", epoll_ctl(epoll, EPOLL_CTL_ADD, 900, &event), EBADF);
    CHECK_ERRNO("bad event pointer", epoll_ctl(epoll, EPOLL_CTL_ADD, 1, (struct epoll_event *)8), EFAULT);

    /* Many descriptors: every one is reported, in turns, by a small event array. */
    int many[50], seen = 0;
    for (int i = 0; i < 50; i++) {
        many[i] = eventfd(1, EFD_NONBLOCK);
        struct epoll_event each = { .events = EPOLLIN | EPOLLET, .data.fd = many[i] };
        NEED(many[i] >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, many[i], &each));
    }
    int found;
    while ((found = epoll_wait(epoll, got, 4, 0)) > 0)
        seen += found;
    CHECK("50 descriptors", seen == 50);
    for (int i = 0; i < 50; i++)
        close(many[i]);

    int pair[2];
    NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    struct epoll_event each = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.fd = pair[0] };
    NEED(!epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &each));
    CHECK("socket is writable", epoll_wait(epoll, got, 4, 0) == 1 && got[0].events == EPOLLOUT);
    shutdown(pair[1], SHUT_WR);
    CHECK("EPOLLRDHUP", epoll_wait(epoll, got, 4, 0) == 1 && got[0].events == (EPOLLIN | EPOLLOUT | EPOLLRDHUP));
    close(pair[0]);
    close(pair[1]);
    close(outer);
    close(epoll);
}

int main(void)
{
    polls();
    epolls();
    return finish();
}
