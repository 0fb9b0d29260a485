/* disk FILE random|sequential: reads and writes a disk without the page cache, one request after the other, half of each
 * kind, in blocks of 4 KiB at random places or of 1 MiB one behind the other. Prints nanoseconds for each request. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        errx(2, "disk FILE random|sequential");
    int random = strcmp(argv[2], "random") == 0, fd = open(argv[1], O_RDWR | O_DIRECT);
    if (fd < 0)
        err(1, "%s", argv[1]);
    size_t block = random ? 4096 : 1 << 20;
    off_t blocks = lseek(fd, 0, SEEK_END) / block;
    long count = random ? 1000 : 32;
    void *data;
    if (posix_memalign(&data, 4096, block))
        err(1, "memory");
    memset(data, 0x5a, block);
    struct timespec begin, end;
    uint64_t seed = 1;
    /* The first time fills the host's page cache. */
    for (int round = 0; round < 2; round++) {
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (long i = 0; i < count; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            off_t at = (off_t)((random ? seed >> 33 : (uint64_t)i) % (uint64_t)blocks) * (off_t)block;
            ssize_t done = i % 2 ? pread(fd, data, block, at) : pwrite(fd, data, block, at);
            if (done != (ssize_t)block)
                err(1, "block %ld", i);
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
    }
    printf("%.0f\n", ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / count);
    return 0;
}
