/* Clocks: monotonic time never goes back, also across threads; clocks agree with each other; sleeping; CPU time. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

static atomic_ullong latest;
static atomic_int backwards;

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec time = { 0, 0 };
    if (clock_gettime(clock, &time))
        return 0;
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *race(void *unused)
{
    (void)unused;
    uint64_t mine = 0;
    for (int i = 0; i < 500000; i++) {
        uint64_t seen = atomic_load(&latest);
        uint64_t now = nanoseconds(CLOCK_MONOTONIC);
        if (now < seen || now < mine)
            atomic_fetch_add(&backwards, 1);
        mine = now;
        while (now > seen && !atomic_compare_exchange_weak(&latest, &seen, now))
            ;
    }
    return NULL;
}

static uint64_t apart(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        NEED(!pthread_create(&threads[i], NULL, race, NULL));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK("monotonic over a million calls and two threads", backwards == 0);

    struct timespec direct;
    NEED(!syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &direct));
    uint64_t raw = (uint64_t)direct.tv_sec * 1000000000 + (uint64_t)direct.tv_nsec;
    uint64_t fast = nanoseconds(CLOCK_MONOTONIC);
    CHECK("system call and vDSO agree", fast >= raw && fast - raw < 100000000);
    NEED(!syscall(SYS_clock_gettime, CLOCK_REALTIME, &direct));
    raw = (uint64_t)direct.tv_sec * 1000000000 + (uint64_t)direct.tv_nsec;
    CHECK("so do they on the real time", apart(nanoseconds(CLOCK_REALTIME), raw) < 100000000);
    struct timeval day;
    NEED(!gettimeofday(&day, NULL));
    CHECK("gettimeofday", apart((uint64_t)day.tv_sec * 1000000000 + (uint64_t)day.tv_usec * 1000,
        nanoseconds(CLOCK_REALTIME)) < 100000000);
    CHECK("time", apart((uint64_t)time(NULL), nanoseconds(CLOCK_REALTIME) / 1000000000) <= 1);
    CHECK("a plausible date", time(NULL) > 1700000000);
    CHECK("coarse clocks", apart(nanoseconds(CLOCK_MONOTONIC_COARSE), nanoseconds(CLOCK_MONOTONIC)) < 100000000
        && apart(nanoseconds(CLOCK_REALTIME_COARSE), nanoseconds(CLOCK_REALTIME)) < 100000000);
    CHECK("raw and boot clocks", nanoseconds(CLOCK_MONOTONIC_RAW) > 0
        && nanoseconds(CLOCK_BOOTTIME) + 1000000 >= nanoseconds(CLOCK_MONOTONIC));
    struct timespec resolution;
    CHECK("resolution", !clock_getres(CLOCK_MONOTONIC, &resolution) && resolution.tv_sec == 0
        && resolution.tv_nsec == 1);
    CHECK_ERRNO("unknown clock", clock_gettime(77, &direct), EINVAL);
    CHECK_ERRNO("bad pointer", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT);

    unsigned cpu = 9999, node = 9999;
    CHECK("getcpu", !syscall(SYS_getcpu, &cpu, &node, NULL) && cpu < 4096 && node < 1024 && sched_getcpu() >= 0);

    struct timespec pause = { 0, 30000000 };
    uint64_t start = nanoseconds(CLOCK_MONOTONIC);
    CHECK("nanosleep", !nanosleep(&pause, NULL) && nanoseconds(CLOCK_MONOTONIC) - start >= 30000000);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    start = nanoseconds(CLOCK_MONOTONIC);
    until.tv_nsec += 20000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    CHECK("clock_nanosleep until", !clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)
        && nanoseconds(CLOCK_MONOTONIC) - start >= 19000000);
    struct timespec bad = { 0, 1000000000 };
    CHECK_ERRNO("bad time", nanosleep(&bad, NULL), EINVAL);

    uint64_t process = nanoseconds(CLOCK_PROCESS_CPUTIME_ID), thread = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    start = nanoseconds(CLOCK_MONOTONIC);
    /* However little of the machine others leave. */
    while (nanoseconds(CLOCK_THREAD_CPUTIME_ID) - thread < 10000000
        && nanoseconds(CLOCK_MONOTONIC) - start < 20000000000)
        ;
    process = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - process;
    thread = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - thread;
    CHECK("CPU time passes while computing", process > 5000000 && thread > 5000000);
    process = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    pause.tv_nsec = 100000000;
    nanosleep(&pause, NULL);
    CHECK("and not while sleeping", nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - process < 60000000);
    struct rusage usage;
    CHECK("getrusage", !getrusage(RUSAGE_SELF, &usage)
        && usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 5000
        && usage.ru_maxrss > 0);
    struct tms ticks;
    CHECK("times", times(&ticks) != -1 && ticks.tms_utime + ticks.tms_stime >= 1);
    CHECK_ERRNO("setting the clock", clock_settime(CLOCK_MONOTONIC, &bad), EINVAL);
    return finish();
}
