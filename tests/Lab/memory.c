/* memory MIB: fills so much memory, each page with its own number, then looks whether each still has it. */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
    const size_t page = 4096;
    if (argc != 2)
        errx(2, "memory MIB");
    size_t pages = strtoul(argv[1], NULL, 10) * (1 << 20) / page;
    char *all = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        err(1, "%s MiB", argv[1]);
    for (size_t i = 0; i < pages; i++)
        *(uint64_t *)(all + i * page) = i + 1;
    for (size_t i = 0; i < pages; i++)
        if (*(uint64_t *)(all + i * page) != i + 1)
            errx(1, "page %zu is not what it was", i);
    printf("%zu MiB kept\n", pages * page >> 20);
    return 0;
}
