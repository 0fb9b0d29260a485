#include "hostile.h"
#include <linux/kcmp.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/uio.h>

static pid_t victim(void)
{
    return number("pid");
}

static int read_memory(pid_t process, void *from)
{
    char bytes[6];
    struct iovec here = { bytes, sizeof bytes }, there = { from, sizeof bytes };
    return error_of(process_vm_readv(process, &here, 1, &there, 1, 0));
}

static int see_process(void)
{
    return error_of(getpgid(victim()));
}

static int trace_process(void)
{
    return error_of(ptrace(PTRACE_SEIZE, victim(), 0, 0));
}

static int read_process(void)
{
    return read_memory(victim(), (void *)number("address"));
}

static int write_process(void)
{
    char byte = 'C';
    struct iovec here = { &byte, 1 }, there = { (void *)number("address"), 1 };
    return error_of(process_vm_writev(victim(), &here, 1, &there, 1, 0));
}

static int trace_supervisor(void)
{
    return supervisor == 0 ? ESRCH : error_of(ptrace(PTRACE_SEIZE, supervisor, 0, 0));
}

// Permission is asked for before the address.
static int read_supervisor(void)
{
    int error = supervisor == 0 ? ESRCH : read_memory(supervisor, (void *)0x400000);
    return error == EFAULT ? 0 : error;
}

static int signal_supervisor(void)
{
    return supervisor == 0 ? ESRCH : error_of(kill(supervisor, SIGCONT));
}

static int signal_process(void)
{
    return error_of(kill(victim(), SIGCONT));
}

static int hold_process(void)
{
    return error_of(syscall(SYS_pidfd_open, victim(), 0));
}

static int take_descriptor(void)
{
    int process = syscall(SYS_pidfd_open, victim(), 0);
    return process < 0 ? errno : error_of(syscall(SYS_pidfd_getfd, process, 0, 0));
}

static int compare_processes(void)
{
    return error_of(syscall(SYS_kcmp, victim(), getpid(), KCMP_VM, 0, 0));
}

static int read_limits(void)
{
    struct rlimit limit;
    return error_of(prlimit(victim(), RLIMIT_NOFILE, NULL, &limit));
}

static int slow_process(void)
{
    return error_of(setpriority(PRIO_PROCESS, victim(), 5));
}

static int move_process(void)
{
    cpu_set_t processors;
    memset(&processors, 0xff, sizeof processors);
    return error_of(sched_setaffinity(victim(), sizeof processors, &processors));
}

static int join_namespace(void)
{
    int process = syscall(SYS_pidfd_open, victim(), 0);
    return process < 0 ? errno : error_of(setns(process, CLONE_NEWUTS));
}

static int attach_memory(void)
{
    return shmat(number("shm"), NULL, SHM_RDONLY) == (void *)-1 ? errno : 0;
}

static int open_queue(void)
{
    return error_of(mq_open(setting("queue"), O_RDONLY));
}

static int make_queue(void)
{
    // Other hostile VMMs without an IPC namespace see it too.
    char name[128];
    snprintf(name, sizeof name, "%s-made", setting("queue"));
    struct mq_attr small = { .mq_maxmsg = 1, .mq_msgsize = 8 };
    return mq_open(name, O_RDWR | O_CREAT, 0600, &small) < 0 ? errno : error_of(mq_unlink(name));
}

// A key of the caller's session: tickets and disk keys are kept there.
static int read_callers_key(void)
{
    char bytes[16];
    long key = syscall(SYS_keyctl, 10 /* KEYCTL_SEARCH */, -3 /* session */, "user", "hostile-canary", 0);
    return key < 0 ? errno : error_of(syscall(SYS_keyctl, 11 /* KEYCTL_READ */, key, bytes, sizeof bytes));
}

static int leave_key(void)
{
    return error_of(syscall(SYS_add_key, "user", "hostile", "x", 1L, -2 /* of this process */));
}

static int forget_death_signal(void)
{
    return error_of(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}

static int be_dumpable(void)
{
    return error_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int trace_own_child(void)
{
    pid_t child = fork();
    if (child == 0)
    {
        pause();
        _exit(0);
    }
    int error = error_of(ptrace(PTRACE_SEIZE, child, 0, 0));
    kill(child, SIGKILL);
    return error;
}

const struct attempt process_attempts[] = {
    { "see another process", see_process },
    { "ptrace a process", trace_process },
    { "ptrace the supervisor", trace_supervisor },
    { "ptrace a process of its own", trace_own_child },
    { "read a process's memory", read_process },
    { "write a process's memory", write_process },
    { "read the supervisor's memory", read_supervisor },
    { "signal a process", signal_process },
    { "signal the supervisor", signal_supervisor },
    { "pidfd_open of a process", hold_process },
    { "pidfd_getfd from a process", take_descriptor },
    { "kcmp with a process", compare_processes },
    { "read a process's limits", read_limits },
    { "set a process's priority", slow_process },
    { "set a process's processors", move_process },
    { "setns into a process's namespace", join_namespace },
    { "attach System V shared memory", attach_memory },
    { "open a POSIX queue", open_queue },
    { "make a POSIX queue", make_queue },
    { "read a key of the caller's session", read_callers_key },
    { "make a key", leave_key },
    { "turn the death signal off", forget_death_signal },
    { "PR_SET_DUMPABLE", be_dumpable },
    { 0 },
};
