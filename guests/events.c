/* eventfd, timerfd, sealed memfds and pidfds: descriptors without a file behind them. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *add(void *argument)
{
    for (int i = 0; i < 1000; i++)
        if (eventfd_write((int)(intptr_t)argument, 1))
            return argument;
    return NULL;
}

static void counters(void)
{
    eventfd_t value = 0;
    int counter = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK);
    NEED(counter >= 0);
    CHECK("initial value", !eventfd_read(counter, &value) && value == 3);
    CHECK_ERRNO("zero blocks", eventfd_read(counter, &value), EAGAIN);
    CHECK("adds", !eventfd_write(counter, 5) && !eventfd_write(counter, 6) && !eventfd_read(counter, &value)
        && value == 11);
    CHECK("nearly full", !eventfd_write(counter, UINT64_MAX - 1));
    CHECK_ERRNO("full blocks", eventfd_write(counter, 1), EAGAIN);
    CHECK_ERRNO("all ones", eventfd_write(counter, UINT64_MAX), EINVAL);
    CHECK_ERRNO("short read", read(counter, &value, 4), EINVAL);
    struct pollfd one = { counter, POLLIN | POLLOUT, 0 };
    CHECK("readable, not writable", poll(&one, 1, 0) == 1 && one.revents == POLLIN);
    NEED(!eventfd_read(counter, &value));
    CHECK("writable, not readable", poll(&one, 1, 0) == 1 && one.revents == POLLOUT);
    close(counter);
    counter = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    CHECK("semaphore", !eventfd_read(counter, &value) && value == 1 && !eventfd_read(counter, &value) && value == 1);
    CHECK_ERRNO("used up", eventfd_read(counter, &value), EAGAIN);
    close(counter);
    counter = eventfd(0, 0);
    pthread_t thread;
    NEED(!pthread_create(&thread, NULL, add, (void *)(intptr_t)counter));
    long total = 0;
    while (total < 1000) {
        NEED(!eventfd_read(counter, &value));
        total += (long)value;
    }
    pthread_join(thread, NULL);
    CHECK("blocking reads", total == 1000);
    close(counter);
    CHECK_ERRNO("bad flags", eventfd(0, 0x10), EINVAL);
}

static void timers(void)
{
    uint64_t expirations = 0;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    NEED(timer >= 0);
    struct itimerspec times = { { 0, 10000000 }, { 0, 20000000 } }, left;
    double start = now();
    CHECK("set", !timerfd_settime(timer, 0, &times, NULL));
    CHECK("first expiration", read(timer, &expirations, 8) == 8 && expirations >= 1 && now() - start >= 0.019);
    struct timespec pause = { 0, 60000000 };
    nanosleep(&pause, NULL);
    CHECK("expirations add up", read(timer, &expirations, 8) == 8 && expirations >= 4);
    CHECK("gettime", !timerfd_gettime(timer, &left) && left.it_interval.tv_nsec == 10000000);
    struct itimerspec off = { 0 };
    CHECK("disarm", !timerfd_settime(timer, 0, &off, &left) && left.it_interval.tv_nsec == 10000000);
    NEED(!fcntl(timer, F_SETFL, O_NONBLOCK));
    CHECK_ERRNO("disarmed", read(timer, &expirations, 8), EAGAIN);
    clock_gettime(CLOCK_MONOTONIC, &times.it_value);
    times.it_interval.tv_nsec = 0;
    NEED(!timerfd_settime(timer, TFD_TIMER_ABSTIME, &times, NULL));
    struct pollfd one = { timer, POLLIN, 0 };
    CHECK("absolute time in the past", poll(&one, 1, 1000) == 1 && read(timer, &expirations, 8) == 8
        && expirations == 1);
    times.it_value.tv_nsec = 1000000000;
    CHECK_ERRNO("bad time", timerfd_settime(timer, 0, &times, NULL), EINVAL);
    CHECK_ERRNO("short read", read(timer, &expirations, 4), EINVAL);
    close(timer);
    CHECK_ERRNO("bad clock", timerfd_create(77, 0), EINVAL);
}

static void seals(void)
{
    int memory = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    NEED(memory >= 0);
    CHECK("write", write(memory, "12345", 5) == 5);
    CHECK("no seals", fcntl(memory, F_GET_SEALS) == 0);
    CHECK("seal size", !fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    CHECK_ERRNO("shrink refused", ftruncate(memory, 1), EPERM);
    CHECK_ERRNO("growth refused", ftruncate(memory, 100), EPERM);
    CHECK_ERRNO("write past the end refused", pwrite(memory, "x", 1, 9), EPERM);
    CHECK("seal content", !fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
    CHECK_ERRNO("write refused", pwrite(memory, "x", 1, 0), EPERM);
    CHECK_ERRNO("no more seals", fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    CHECK_ERRNO("no writable mapping", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0), EPERM);
    char text[8] = "";
    CHECK("still readable", pread(memory, text, 8, 0) == 5 && !strcmp(text, "12345"));
    struct stat status;
    CHECK("size", !fstat(memory, &status) && status.st_size == 5 && S_ISREG(status.st_mode));
    close(memory);
    memory = memfd_create("plain", 0);
    CHECK_ERRNO("sealing not allowed", fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    close(memory);
}

static void process_descriptors(void)
{
    pid_t child = fork();
    if (!child)
        for (;;)
            pause();
    int process = (int)syscall(SYS_pidfd_open, child, 0);
    CHECK("pidfd_open", process >= 0);
    struct pollfd one = { process, POLLIN, 0 };
    CHECK("alive", poll(&one, 1, 0) == 0);
    CHECK("pidfd_send_signal", !syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0));
    CHECK("dead", poll(&one, 1, 5000) == 1 && one.revents & POLLIN);
    siginfo_t info = { 0 };
    CHECK("waitid P_PIDFD", !waitid(P_PIDFD, (id_t)process, &info, WEXITED) && info.si_pid == child
        && info.si_status == SIGKILL && info.si_code == CLD_KILLED);
    close(process);
    int directory = open("/proc/self", O_RDONLY | O_DIRECTORY), task = open("/proc/self/task", O_RDONLY | O_DIRECTORY);
    CHECK("pidfd_send_signal to /proc/PID", !syscall(SYS_pidfd_send_signal, directory, 0, NULL, 0));
    CHECK_ERRNO("and to another directory", syscall(SYS_pidfd_send_signal, task, 0, NULL, 0), EBADF);
    close(directory);
    close(task);
    CHECK_ERRNO("pidfd of nobody", syscall(SYS_pidfd_open, 4194300, 0), ESRCH);
}

int main(void)
{
    counters();
    timers();
    seals();
    process_descriptors();
    return finish();
}
