/* Small workloads that time themselves, run natively and in a guest: each prints nanoseconds or seconds, one number. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Nanoseconds of a system call that does nothing: getppid is never answered in user space. */
static double call(void)
{
    enum { N = 20000 };
    double start = now();
    for (int i = 0; i < N; i++)
        syscall(SYS_getppid);
    return (now() - start) / N * 1e9;
}

/* Nanoseconds of clock_gettime, which the vDSO answers. */
static double clock_call(void)
{
    enum { N = 1000000 };
    struct timespec t;
    double start = now();
    for (int i = 0; i < N; i++)
        clock_gettime(CLOCK_MONOTONIC, &t);
    return (now() - start) / N * 1e9;
}

static uint64_t mix(uint64_t rounds)
{
    uint64_t x = 88172645463325252ull;
    while (rounds--) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

static void *compute(void *argument)
{
    return (void *)(uintptr_t)mix((uintptr_t)argument);
}

/* Seconds for a fixed amount of integer work in each of n threads. */
static double threads(int n)
{
    pthread_t ids[8];
    double start = now();
    for (int i = 0; i < n; i++)
        pthread_create(&ids[i], NULL, compute, (void *)(uintptr_t)300000000);
    for (int i = 0; i < n; i++)
        pthread_join(ids[i], NULL);
    return now() - start;
}

/* Seconds to write, then read, 1 GiB in 64 KiB calls. */
static double file(const char *path, int reading)
{
    enum { CHUNK = 65536, COUNT = 16384 };
    static char buffer[CHUNK];
    int fd = open(path, reading ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    double start = now();
    for (int i = 0; i < COUNT; i++)
        if ((reading ? read(fd, buffer, CHUNK) : write(fd, buffer, CHUNK)) != CHUNK) {
            perror("transfer");
            exit(1);
        }
    double took = now() - start;
    close(fd);
    return took;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "call"))
        printf("%.1f\n", call());
    else if (!strcmp(what, "clock"))
        printf("%.1f\n", clock_call());
    else if (!strcmp(what, "threads") && argc > 2)
        printf("%.6f\n", threads(atoi(argv[2])));
    else if (!strcmp(what, "write") && argc > 2)
        printf("%.6f\n", file(argv[2], 0));
    else if (!strcmp(what, "read") && argc > 2)
        printf("%.6f\n", file(argv[2], 1));
    else
        return fprintf(stderr, "usage: micro call|clock|threads N|write FILE|read FILE\n"), 2;
    return 0;
}
