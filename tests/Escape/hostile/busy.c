// A guest that gives its VMM and the VMM's collector as much to do as it can: threads that start programs, map memory,
// make files and talk to each other. `busy SECONDS FOLDER`; its last line tells how much of each was done.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KINDS = 4, EACH = 3 };

static atomic_long done[KINDS];
static time_t last;
static const char *program, *folder;

static void need(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "busy: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void start_program(int turn)
{
    pid_t child = turn % 2 ? fork() : vfork();
    if (child == 0)
    {
        execl(program, program, "nothing", NULL);
        _exit(1);
    }
    int status;
    need(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a program");
}

static void map_memory(int turn)
{
    size_t size = 4096 * (1 + turn % 64);
    char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(pages != MAP_FAILED, "mmap");
    for (size_t at = 0; at < size; at += 4096)
        pages[at] = turn;
    need(mprotect(pages, 4096, PROT_READ) == 0 && mprotect(pages, 4096, PROT_READ | PROT_WRITE) == 0, "mprotect");
    pages = mremap(pages, size, size * 2, MREMAP_MAYMOVE);
    need(pages != MAP_FAILED && pages[0] == (char)turn, "mremap");
    need(madvise(pages, size, MADV_DONTNEED) == 0 && munmap(pages, size * 2) == 0, "munmap");
}

static void make_files(int turn)
{
    char path[256] = "", other[300], text[64];
    for (int where = 0; where < 2; where++)
    {
        snprintf(path, sizeof path, "%s/%lx-%d", where ? folder : "/tmp", (long)pthread_self(), turn % 8);
        snprintf(other, sizeof other, "%s.moved", path);
        int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        need(file >= 0 && write(file, path, sizeof text) == sizeof text, path);
        need(pread(file, text, sizeof text, 0) == sizeof text && !memcmp(text, path, sizeof text), "what was written");
        need(close(file) == 0 && rename(path, other) == 0 && unlink(other) == 0, other);
        DIR *names = opendir(where ? folder : "/tmp");
        need(names != NULL, folder);
        while (readdir(names))
            ;
        closedir(names);
    }
}

static void *answer(void *end)
{
    char byte;
    while (read(*(int *)end, &byte, 1) == 1 && write(*(int *)end, &byte, 1) == 1)
        ;
    return NULL;
}

static void talk(int turn)
{
    int ends[2], event = eventfd(0, EFD_NONBLOCK);
    pthread_t other;
    need(event >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    need(pthread_create(&other, NULL, answer, &ends[1]) == 0, "pthread_create");
    for (int i = 0; i < 16; i++)
    {
        char byte = turn + i, got = 0;
        struct pollfd ready = { .fd = ends[0], .events = POLLIN };
        need(write(ends[0], &byte, 1) == 1 && poll(&ready, 1, 20000) == 1, "poll");
        need(read(ends[0], &got, 1) == 1 && got == byte, "an answer");
    }
    close(ends[0]);
    pthread_join(other, NULL);
    close(ends[1]);
    close(event);
}

static void *work(void *argument)
{
    static void (*const kinds[KINDS])(int) = { start_program, map_memory, make_files, talk };
    int kind = (long)argument % KINDS;
    for (int turn = 0; time(NULL) < last; turn++)
    {
        kinds[kind](turn);
        done[kind]++;
    }
    return NULL;
}

int main(int count, char **arguments)
{
    if (count == 2)
        return 0;
    if (count != 3)
        return 2;
    pthread_t threads[KINDS * EACH];
    program = arguments[0];
    folder = arguments[2];
    last = time(NULL) + atoi(arguments[1]);
    for (long i = 0; i < KINDS * EACH; i++)
        need(pthread_create(&threads[i], NULL, work, (void *)i) == 0, "pthread_create");
    for (int i = 0; i < KINDS * EACH; i++)
        pthread_join(threads[i], NULL);
    printf("programs %ld, mappings %ld, files %ld, talks %ld\n", done[0], done[1], done[2], done[3]);
    return 0;
}
