/*
 * What a hostile or broken program does to its host, one way per argument: each must be stopped by the sandbox's
 * limits. "ready" is said first, so that a test knows that the program itself started.
 */
#include "check.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void fork_bomb(void)
{
    for (;;)
        fork();
}

static void *spin(void *unused)
{
    for (;;)
        __asm__ volatile("" ::: "memory");
    return unused;
}

static void *hold(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void thread_bomb(void)
{
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    long started = 0;
    while (!pthread_create(&thread, &small, hold, NULL))
        started++;
    say("refused after %s threads", started < 100000 ? "some" : "too many");
    for (;;)
        pause();
}

/* Takes what it is given until it is refused, as programs do that look at malloc's answer. */
static void memory_hog(void)
{
    for (;;) {
        char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) {
            say("refused: %s", strerrorname_np(errno));
            exit(3);
        }
        memset(block, 'x', 1 << 20);
    }
}

/* Reserves far more than the limit first, so that no mmap is there to refuse: only a page can be. */
static void overcommitter(void)
{
    size_t size = 64UL << 30;
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        say("refused");
        exit(3);
    }
    for (size_t i = 0; i < size; i += 4096)
        block[i] = 'x';
}

static void output_flood(void)
{
    char block[65536];
    memset(block, 'y', sizeof block);
    for (int i = 63; i < (int)sizeof block; i += 64)
        block[i] = '\n';
    while (write(1, block, sizeof block) > 0)
        ;
    exit(5);
}

static void disk_filler(const char *directory)
{
    char path[256], block[65536];
    memset(block, 'z', sizeof block);
    for (int i = 0;; i++) {
        snprintf(path, sizeof path, "%s/filler-%d", directory, i);
        int file = open(path, O_CREAT | O_WRONLY, 0600);
        if (file < 0) {
            say("open refused: %s", strerrorname_np(errno));
            exit(0);
        }
        for (int k = 0; k < 1024; k++)
            if (write(file, block, sizeof block) < 0) { /* a short write is not yet a refusal */
                say("write refused: %s", strerrorname_np(errno));
                exit(0);
            }
        close(file);
    }
}

static void many_files(const char *directory)
{
    char path[256];
    for (long i = 0;; i++) {
        snprintf(path, sizeof path, "%s/empty-%ld", directory, i);
        int file = open(path, O_CREAT | O_WRONLY, 0600);
        if (file < 0) {
            say("open refused: %s", strerrorname_np(errno));
            exit(0);
        }
        close(file);
    }
}

static volatile char sink;

static int deep(long depth)
{
    volatile char frame[256];
    frame[0] = (char)depth;
    int below = depth < 1L << 60 ? deep(depth + 1) : 0;
    sink = frame[0];
    return below + 1;
}

/* Kernel memory without user memory: pipes and sockets full of data that nobody reads. */
static void buffer_hog(void)
{
    char block[65536] = { 0 };
    for (;;) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) && pipe2(ends, O_NONBLOCK)) {
            say("refused: %s", strerrorname_np(errno));
            if (fork() > 0)
                for (;;)
                    pause();
            for (int i = 3; i < 4096; i++)
                if (i & 1)
                    close(i);
            continue;
        }
        while (write(ends[1], block, sizeof block) > 0)
            ;
    }
}

static void ignore_everything(void)
{
    for (int i = 1; i < 65; i++)
        signal(i, SIG_IGN);
    for (;;)
        pause();
}

static void chatter(void)
{
    for (;;)
        getppid();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    say("ready");
    if (!strcmp(what, "fork"))
        fork_bomb();
    else if (!strcmp(what, "threads"))
        thread_bomb();
    else if (!strcmp(what, "loop"))
        spin(NULL);
    else if (!strcmp(what, "loops")) {
        pthread_t thread;
        for (int i = 0; i < 3; i++)
            pthread_create(&thread, NULL, spin, NULL);
        spin(NULL);
    } else if (!strcmp(what, "calls"))
        chatter();
    else if (!strcmp(what, "sleep"))
        hold(NULL);
    else if (!strcmp(what, "ignore"))
        ignore_everything();
    else if (!strcmp(what, "memory"))
        memory_hog();
    else if (!strcmp(what, "overcommit"))
        overcommitter();
    else if (!strcmp(what, "buffers"))
        buffer_hog();
    else if (!strcmp(what, "output"))
        output_flood();
    else if (!strcmp(what, "disk"))
        disk_filler(argc > 2 ? argv[2] : "/tmp");
    else if (!strcmp(what, "files"))
        many_files(argc > 2 ? argv[2] : "/tmp");
    else if (!strcmp(what, "recursion"))
        return deep(0) & 1;
    say("unknown: %s", what);
    return 2;
}
