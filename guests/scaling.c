/*
 * Two threads on two CPUs: the same work done by one thread, then twice by two threads at once. stdout carries the
 * results, stderr the speed-up (2.00 is perfect), which depends on the machine.
 */
#include "check.h"
#include <pthread.h>
#include <stdint.h>
#include <time.h>

static uint64_t steps = 150000000;

static void *mix(void *seed)
{
    uint64_t value = (uint64_t)(uintptr_t)seed;
    for (uint64_t i = 0; i < steps; i++) {
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
    }
    return (void *)(uintptr_t)value;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        steps = strtoull(argv[1], NULL, 10);
    double start = now();
    uint64_t alone = (uint64_t)(uintptr_t)mix((void *)12345);
    double one = now() - start;

    pthread_t threads[2];
    void *results[2];
    start = now();
    for (int i = 0; i < 2; i++)
        NEED(!pthread_create(&threads[i], NULL, mix, (void *)12345));
    for (int i = 0; i < 2; i++)
        NEED(!pthread_join(threads[i], &results[i]));
    double two = now() - start;

    say("result %016llx", (unsigned long long)alone);
    CHECK("both threads agree", (uint64_t)(uintptr_t)results[0] == alone && (uint64_t)(uintptr_t)results[1] == alone);
    dprintf(2, "speed-up %.2f\n", 2 * one / two);
    return finish();
}
