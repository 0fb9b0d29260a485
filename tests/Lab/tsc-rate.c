/* Prints how often in a millisecond this machine's time-stamp counter counts. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct moment {
    uint64_t count, nanoseconds;
};

/* Of several the one that was interrupted least. */
static struct moment now(void)
{
    struct moment best = { 0, 0 };
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < 100; i++) {
        struct timespec at;
        uint64_t before = __rdtsc();
        clock_gettime(CLOCK_MONOTONIC, &at);
        uint64_t taken = __rdtsc() - before;
        if (taken < shortest) {
            shortest = taken;
            best = (struct moment){ before + taken / 2, (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec };
        }
    }
    return best;
}

int main(void)
{
    struct moment first = now();
    nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    struct moment last = now();
    printf("%llu\n", (unsigned long long)((last.count - first.count) * 1000000 / (last.nanoseconds - first.nanoseconds)));
    return 0;
}
