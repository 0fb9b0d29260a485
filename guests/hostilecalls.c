/*
 * System calls made by a program that attacks whoever answers them: bad pointers at every argument of every call, sizes
 * without measure, memory that another thread changes while it is read. Only for a sandbox: on a host it would do what
 * it says.
 */
#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

enum { CALLS = 470, TURNS = 3000 };

/* Calls that would end, multiply or replace the attacker itself, or stop its parent: see attack_left_out. */
static const int s_left_out[] = {
    SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal, SYS_exit, SYS_exit_group,
};

static int is_left_out(int call)
{
    for (size_t i = 0; i < sizeof s_left_out / sizeof *s_left_out; i++)
        if (s_left_out[i] == call)
            return 1;
    return 0;
}

/* The last byte before memory that is not there. */
static char *edge(void)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 4096, 4096);
    return pages + 4095;
}

static void attack_call(int call)
{
    static char room[4096];
    long bad[] = { 1, -1, (long)edge(), (long)0xffff800000000000, 0x7ffffffff000 - 1, LONG_MIN, 0xffffff8000000000 };
    long usual[] = { 0, 1, (long)room };
    alarm(1);
    for (size_t with = 0; with < sizeof usual / sizeof *usual; with++)
        for (int at = 0; at < 6; at++)
            for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                long a[6];
                for (int j = 0; j < 6; j++)
                    a[j] = j == at ? bad[i] : usual[with];
                syscall(call, a[0], a[1], a[2], a[3], a[4], a[5]);
            }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        syscall(call, bad[i], bad[i], bad[i], bad[i], bad[i], bad[i]);
}

/* Pointers of calls that make a process or a thread. The child ends at once, on whatever stack it has got. */
static void attack_clone(const long *bad, size_t count)
{
    enum { ALL = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_SETTLS | CLONE_PIDFD };
    static char room[4096];
    long room_at = (long)room;
    for (size_t i = 0; i < count; i++) {
        for (int at = 0; at < 4; at++) {
            long stack = at == 0 ? bad[i] : 0, parent = at == 1 ? bad[i] : room_at, child = at == 2 ? bad[i] : room_at;
            long local = at == 3 ? bad[i] : room_at;
            for (int with = 0; with < 2; with++)
                if (syscall(SYS_clone, (with ? ALL & ~CLONE_PARENT_SETTID : ALL & ~CLONE_PIDFD) | SIGCHLD, stack, parent,
                        child, local) == 0)
                    syscall(SYS_exit, 0);
        }
        /* A program that shares its memory with its maker, and dies on its first use of a stack. */
        if (syscall(SYS_clone, CLONE_VM | SIGCHLD, bad[i], 0, 0, 0) == 0)
            syscall(SYS_exit, 0);
        long all[11];
        for (int at = -1; at < 11; at++) {
            for (int j = 0; j < 11; j++)
                all[j] = at < 0 || j == at ? bad[i] : 0;
            if (syscall(SYS_clone3, all, sizeof all) == 0)
                syscall(SYS_exit, 0);
        }
        if (syscall(SYS_fork, bad[i], bad[i], bad[i], bad[i], bad[i], bad[i]) == 0)
            syscall(SYS_exit, 0);
        long made = SYS_vfork;
        /* The child may not return from anything: the stack is its maker's. */
        __asm__ volatile("syscall\n\t"
                         "test %%rax, %%rax\n\t"
                         "jnz 1f\n\t"
                         "mov $60, %%eax\n\t"
                         "xor %%edi, %%edi\n\t"
                         "syscall\n"
                         "1:"
                         : "+a"(made)
                         : "D"(bad[i]), "S"(bad[i]), "d"(bad[i])
                         : "rcx", "r11", "memory");
        while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
            ;
    }
}

/* Of those that s_left_out holds. Returns how many answers were wrong. */
static int attack_left_out(int call)
{
    long bad[] = { 1, -1, (long)edge(), (long)0xffff800000000000, 0x7ffffffff000 - 1, LONG_MIN, 0xffffff8000000000 };
    size_t count = sizeof bad / sizeof *bad;
    int wrong = 0, self = getpid();
    alarm(60);
    switch (call) {
    case SYS_clone:
        attack_clone(bad, count);
        break;
    case SYS_clone3:
        for (size_t i = 0; i < count; i++)
            for (size_t size = 64; size <= 88; size += 8)
                wrong += syscall(SYS_clone3, bad[i], size) >= 0;
        break;
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
        /* What is sent to all does nothing to anybody. */
        for (size_t i = 0; i < count; i++) {
            syscall(call, bad[i], SIGWINCH, SIGWINCH);
            syscall(call, self, call == SYS_tgkill || bad[i] == 1 ? SIGWINCH : bad[i], bad[i]);
            wrong += syscall(call, self, self, 0x7fffffff) >= 0 && call == SYS_tgkill;
        }
        break;
    case SYS_rt_sigqueueinfo:
        for (size_t i = 0; i < count; i++)
            wrong += syscall(call, self, SIGWINCH, bad[i]) >= 0 || errno != EFAULT;
        break;
    case SYS_rt_tgsigqueueinfo:
        for (size_t i = 0; i < count; i++)
            wrong += syscall(call, self, self, SIGWINCH, bad[i]) >= 0 || errno != EFAULT;
        break;
    case SYS_pidfd_send_signal: {
        long process = syscall(SYS_pidfd_open, self, 0);
        for (size_t i = 0; i < count; i++) {
            wrong += syscall(call, process, SIGWINCH, bad[i], 0) >= 0;
            wrong += bad[i] != process && syscall(call, bad[i], SIGWINCH, NULL, 0) >= 0;
        }
        break;
    }
    case SYS_exit:
    case SYS_exit_group:
        for (size_t i = 0; i < count; i++) {
            int status;
            pid_t child = fork();
            if (child == 0)
                syscall(call, bad[i], bad[i], bad[i], bad[i], bad[i], bad[i]);
            wrong += waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != (bad[i] & 0xff);
        }
        break;
    }
    return wrong;
}

/* Whether a call of each part of what answers them still is: memory, files, pipes, processes, clocks. */
static int is_answered(pid_t self, const int *ends)
{
    char sent = 'a', got = 0;
    struct timespec now = { 0 };
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int file = open("/m/inside", O_RDONLY), good = page != MAP_FAILED && file >= 0 && getpid() == self;
    good = good && read(file, page, 7) == 7 && !memcmp(page, "inside\n", 7);
    good = good && write(ends[1], &sent, 1) == 1 && read(ends[0], &got, 1) == 1 && got == sent;
    good = good && clock_gettime(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec + now.tv_nsec > 0;
    return close(file) == 0 && munmap(page, 4096) == 0 && good;
}

/* The answers are the caller's own trouble, but for those that are known; that the next call is still answered counts. */
static void pointers(void)
{
    int answered = 0, wrong = 0, ends[2];
    pid_t self = getpid();
    if (pipe(ends))
        exit(1);
    for (int call = 0; call < CALLS; call++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            close(1);
            close(2);
            /* A bad argument of clone is what its child's end sends. */
            signal(SIGHUP, SIG_IGN);
            if (is_left_out(call))
                _exit(attack_left_out(call));
            attack_call(call);
            _exit(0);
        }
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        if (is_left_out(call) && status != 0) {
            printf("call %d: status %x\n", call, status);
            wrong++;
        }
        answered += child > 0 && is_answered(self, ends);
    }
    report(answered == CALLS, "still answered after every call", "answered", __LINE__);
    report(wrong == 0, "pointers of calls that make, stop and end processes", "wrong", __LINE__);
}

static void sizes(void)
{
    static struct iovec parts[IOV_MAX];
    char byte;
    int ends[2], null = open("/dev/null", O_RDWR);
    if (null < 0 || pipe(ends))
        exit(1);
    for (int i = 0; i < IOV_MAX; i++)
        parts[i] = (struct iovec){ &byte, SSIZE_MAX / 4 };
    report(writev(null, parts, IOV_MAX) < 0, "lengths that do not add up", "writev", __LINE__);
    report(writev(null, parts, -1) < 0, "fewer than no parts", "writev", __LINE__);
    report(syscall(SYS_poll, (void *)&byte, INT_MAX, 0) < 0, "more descriptors than there can be", "poll", __LINE__);
    report(syscall(SYS_setgroups, INT_MAX, &byte) < 0, "more groups than there can be", "setgroups", __LINE__);
    report(read(ends[0], &byte, 0) == 0, "nothing asked for", "read", __LINE__);
    report(syscall(SYS_read, null, &byte, -1L) <= 0, "everything asked for", "read", __LINE__);
    report(pread(null, &byte, 1, LONG_MAX) <= 0, "at the end of the world", "pread", __LINE__);
    char *path = malloc(1 << 20);
    memset(path, 'x', 1 << 20);
    path[(1 << 20) - 1] = 0;
    report(open(path, O_RDONLY) < 0 && errno == ENAMETOOLONG, "a name of a megabyte", "open", __LINE__);
    for (int i = 0; i < (1 << 20) - 2; i += 2)
        path[i] = '.', path[i + 1] = '/';
    report(open(path, O_RDONLY) < 0 && errno == ENAMETOOLONG, "half a million folders", "open", __LINE__);
    static char *arguments[20001];
    for (int i = 0; i < 20000; i++)
        arguments[i] = path;
    memset(path, 'x', 1 << 20);
    path[(1 << 20) - 1] = 0;
    report(execv("/bin/true", arguments) < 0 && errno == E2BIG, "arguments of 20 gigabytes", "execv", __LINE__);
}

static struct
{
    char path[64];
    struct iovec part;
    struct pollfd descriptor;
    struct timespec time;
} s_shared;

static volatile int s_stop;
static char s_room[4096];

/* What is checked is not what is used, if it is read twice. */
static void *change(void *unused)
{
    static const char *const paths[] = { "/m/inside", "/m/../secret", "/m/link/secret", "/proc/self/fd/0" };
    for (unsigned turn = 0; !s_stop; turn++) {
        memcpy(s_shared.path, paths[turn % 4], strlen(paths[turn % 4]) + 1);
        s_shared.part = turn % 2 ? (struct iovec){ s_room, 16 } : (struct iovec){ (void *)0xffff800000000000, SIZE_MAX };
        s_shared.descriptor.fd = turn % 2 ? 0 : INT_MIN;
        s_shared.time.tv_nsec = turn % 2 ? 1 : LONG_MAX;
    }
    return unused;
}

static int is_secret(int file)
{
    char text[16] = "";
    int got = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file > 2)
        close(file);
    return got > 0 && strstr(text, "CANARY");
}

static void races(void)
{
    pthread_t changer;
    int ends[2], secrets = 0, excess = 0;
    if (pipe2(ends, O_NONBLOCK) || pthread_create(&changer, NULL, change, NULL))
        exit(1);
    for (int turn = 0; turn < TURNS; turn++) {
        secrets += is_secret(open(s_shared.path, O_RDONLY | O_NONBLOCK));
        secrets += is_secret(openat(open("/m", O_PATH), s_shared.path + 3, O_RDONLY | O_NONBLOCK));
        excess += writev(ends[1], &s_shared.part, 1) > 16;
        excess += readv(ends[0], &s_shared.part, 1) > 16;
        poll(&s_shared.descriptor, 1, 0);
        nanosleep(&s_shared.time, NULL);
        if (turn % 64 == 63)
            for (int file = 3; file < 200; file++)
                if (file != ends[0] && file != ends[1])
                    close(file);
    }
    s_stop = 1;
    pthread_join(changer, NULL);
    report(secrets == 0, "no path led out", "secrets", __LINE__);
    report(excess == 0, "no more was moved than the parts hold", "excess", __LINE__);
}

int main(int count, char **arguments)
{
    const char *what = count == 2 ? arguments[1] : "";
    if (!strcmp(what, "pointers"))
        pointers();
    else if (!strcmp(what, "sizes"))
        sizes();
    else if (!strcmp(what, "races"))
        races();
    else
        return 2;
    return failures != 0;
}
