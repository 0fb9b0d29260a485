// Stands in for sandbox-vmm: takes the Start message, says that the guest has started, and then does as its
// -DMODE says: most use up the host. Linked statically, since there is no file in its jail.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHANNEL = 3, START = 1, STARTED = 16, ENDED = 17, EXITED = 1 };

struct message {
    uint32_t version, kind, cause, detail32;
    int64_t value, detail;
};

// More of everything until the kernel says no; the end is for others to bring about.
static void memory(void)
{
    const size_t step = 1 << 20;
    for (;;) {
        char *more = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED)
            exit(9);
        memset(more, 1, step);
    }
}

static void fork_bomb(void)
{
    for (;;) {
        pid_t child = fork();
        if (child < 0)
            exit(errno == EAGAIN ? 7 : 9);
        if (child == 0)
            for (;;)
                pause();
    }
}

static void burn(void)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            break;
    for (;;)
        __asm__ volatile("");
}

// Every process of the group eats: the kernel has to choose among them.
static void family(void)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            break;
    memory();
}

// The only one that behaves.
static void linger(void)
{
    struct message end = { .version = 1, .kind = ENDED, .cause = EXITED };
    sleep(15);
    send(CHANNEL, &end, sizeof end, 0);
    exit(0);
}

int main(void)
{
    struct message said = { .version = 1, .kind = STARTED }, heard;
    if (recv(CHANNEL, &heard, sizeof heard, 0) != sizeof heard || heard.kind != START)
        return 9;
    send(CHANNEL, &said, sizeof said, 0);
    MODE();
}
