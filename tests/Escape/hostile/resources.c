#include "hostile.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int allow_core_dumps(void)
{
    struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
    return error_of(setrlimit(RLIMIT_CORE, &none));
}

static int dump_core(void)
{
    pid_t child = fork();
    if (child == 0)
    {
        allow_core_dumps();
        abort();
    }
    int status;
    return child < 0 || waitpid(child, &status, 0) != child ? errno : WCOREDUMP(status) ? 0 : EPERM;
}

static int lock_memory(void)
{
    void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return error_of(mlock(memory, 1 << 20));
}

static int real_time(void)
{
    struct sched_param first = { .sched_priority = 1 };
    return error_of(sched_setscheduler(0, SCHED_FIFO, &first));
}

static int raise_priority(void)
{
    return error_of(setpriority(PRIO_PROCESS, 0, -5));
}

// Four times what the guest was given, 64 MiB, and more than the VMM needs for itself.
static int memory_bomb(void)
{
    size_t size = 256 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return errno;
    for (size_t at = 0; at < size; at += 4096)
        memory[at] = 1;
    return 0;
}

static int fork_bomb(void)
{
    int error = 0, started = 0;
    pid_t children[300];
    for (; started < 300; started++)
    {
        children[started] = fork();
        if (children[started] == 0)
        {
            pause();
            _exit(0);
        }
        if (children[started] < 0)
        {
            error = errno;
            break;
        }
    }
    for (int i = 0; i < started; i++)
    {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    return error;
}

static int descriptor_bomb(void)
{
    for (int i = 0; i < 8192; i++)
        if (dup(STDERR_FILENO) < 0)
            return errno;
    return 0;
}

// From what anybody may have lowered it to, since nobody may have more than the kernel's own limit.
static int raise_descriptors(void)
{
    struct rlimit few = { 100, 100 }, more = { 101, 101 };
    return setrlimit(RLIMIT_NOFILE, &few) ? errno : error_of(setrlimit(RLIMIT_NOFILE, &more));
}

const struct attempt resource_attempts[] = {
    { "allow core dumps", allow_core_dumps },
    { "dump core", dump_core },
    { "lock memory", lock_memory },
    { "real-time priority", real_time },
    { "raise its priority", raise_priority },
    { "raise its limit of descriptors", raise_descriptors },
    { "fork bomb", fork_bomb },
    { "descriptor bomb", descriptor_bomb },
    { 0 },
};

// The kernel ends a group of cgroup version 2 as a whole.
const struct attempt last_attempts[] = {
    { "memory bomb", memory_bomb },
    { 0 },
};
