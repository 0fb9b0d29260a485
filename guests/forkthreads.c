/*
 * fork in one thread while others write: what a thread has written stays written, whoever copies the page meanwhile,
 * and a child sees nothing of what its parent writes later.
 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { Page = 4096, Forks = 100, CounterAt = 64, EndAt = 128, BytesAt = 1024, Bytes = 512 };

static volatile char *page;
static volatile int over;

static void *count(void *unused)
{
    (void)unused;
    volatile long *counter = (volatile long *)(page + CounterAt);
    long written = 0;
    long lost = 0;
    while (!over) {
        *counter = ++written;
        if (*counter != written)
            lost++;
        /* Another word of the same page, that the next look finds. */
        volatile long *end = (volatile long *)(page + EndAt);
        if (*end != written - 1)
            lost++;
        *end = written;
    }
    return (void *)lost;
}

static void *receive(void *unused)
{
    (void)unused;
    long lost = 0;
    int ends[2];
    char block[Bytes];
    NEED(!pipe(ends));
    for (int i = 0; !over; i++) {
        memset(block, i, sizeof block);
        NEED(write(ends[1], block, sizeof block) == sizeof block);
        NEED(read(ends[0], (char *)page + BytesAt, Bytes) == Bytes);
        for (int at = 0; at < Bytes; at++)
            lost += page[BytesAt + at] != (char)i;
    }
    return (void *)lost;
}

int main(void)
{
    page = mmap(NULL, Page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(page != MAP_FAILED);
    pthread_t counter, receiver;
    NEED(!pthread_create(&counter, NULL, count, NULL) && !pthread_create(&receiver, NULL, receive, NULL));
    int changed = 0;
    for (int i = 0; i < Forks; i++) {
        pid_t child = fork();
        NEED(child >= 0);
        if (!child) {
            volatile long *counter = (volatile long *)(page + CounterAt);
            long seen = *counter;
            for (int look = 0; look < 2000; look++)
                if (*counter != seen)
                    _exit(1);
            _exit(0);
        }
        int status = -1;
        NEED(waitpid(child, &status, 0) == child);
        changed += status != 0;
    }
    over = 1;
    void *lost_words, *lost_bytes;
    NEED(!pthread_join(counter, &lost_words) && !pthread_join(receiver, &lost_bytes));
    CHECK("no child sees later writes", !changed);
    CHECK("no write of the program is lost", !lost_words);
    CHECK("no write of read(2) is lost", !lost_bytes);
    return finish();
}
