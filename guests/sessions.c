/* Sessions, process groups, user identity, priorities and resource limits. */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int status_of(pid_t child)
{
    int status = -1;
    NEED(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(void)
{
    pid_t child = fork();
    if (!child) {
        pid_t me = getpid(), before = getsid(0);
        int good = setsid() == me && getsid(0) == me && getpgrp() == me && before != me;
        good &= setsid() == -1 && errno == EPERM;
        good &= setpgid(0, 0) == -1 && errno == EPERM;
        _exit(!good);
    }
    CHECK("setsid", status_of(child) == 0);

    int ends[2];
    NEED(!pipe(ends));
    pid_t members[3];
    for (int i = 0; i < 3; i++) {
        members[i] = fork();
        if (!members[i]) {
            char byte;
            close(ends[1]);
            while (read(ends[0], &byte, 1) != 0)
                ;
            for (;;)
                pause();
        }
        NEED(!setpgid(members[i], members[0]));
    }
    CHECK("setpgid of children", getpgid(members[2]) == members[0] && getsid(members[1]) == getsid(0));
    CHECK("kill a group", !kill(-members[0], SIGTERM));
    int killed = 0;
    for (int i = 0; i < 3; i++) {
        int status = 0;
        killed += waitpid(-members[0], &status, 0) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    }
    CHECK("all members die", killed == 3);
    CHECK_ERRNO("the group is empty", waitpid(-members[0], NULL, 0), ECHILD);
    CHECK_ERRNO("kill an empty group", kill(-members[0], SIGTERM), ESRCH);
    CHECK_ERRNO("setpgid of a stranger", setpgid(4194300, 0), ESRCH);
    CHECK_ERRNO("setpgid to a negative group", setpgid(0, -5), EINVAL);
    close(ends[0]);
    close(ends[1]);

    uid_t real, effective, saved;
    gid_t group, effective_group, saved_group;
    CHECK("uids agree", !getresuid(&real, &effective, &saved) && real == getuid() && effective == geteuid()
        && saved == effective);
    CHECK("gids agree", !getresgid(&group, &effective_group, &saved_group) && group == getgid());
    CHECK("setuid to oneself", !setuid(getuid()) && !setgid(getgid()));
    gid_t groups[64];
    int count = getgroups(64, groups);
    CHECK("getgroups", count >= 0 && getgroups(0, NULL) == count);

    CHECK("nice", !setpriority(PRIO_PROCESS, 0, 19) && getpriority(PRIO_PROCESS, 0) == 19);
    CHECK("scheduler", sched_getscheduler(0) == SCHED_OTHER && sched_get_priority_max(SCHED_FIFO) == 99);
    cpu_set_t cpus;
    CHECK("affinity", !sched_getaffinity(0, sizeof cpus, &cpus) && CPU_COUNT(&cpus) == sysconf(_SC_NPROCESSORS_ONLN));
    CHECK("set affinity", !sched_setaffinity(0, sizeof cpus, &cpus));
    CHECK("yield", !sched_yield());

    struct rlimit limit;
    CHECK("prlimit", !prlimit(0, RLIMIT_STACK, NULL, &limit) && limit.rlim_cur <= limit.rlim_max
        && limit.rlim_cur >= 1 << 20);
    limit.rlim_cur = 2;
    limit.rlim_max = 1;
    CHECK_ERRNO("soft above hard", setrlimit(RLIMIT_CORE, &limit), EINVAL);
    CHECK_ERRNO("unknown resource", getrlimit(99, &limit), EINVAL);
    child = fork();
    if (!child) {
        struct rlimit size = { 1000, 1000 };
        setrlimit(RLIMIT_FSIZE, &size);
        signal(SIGXFSZ, SIG_IGN);
        FILE *file = tmpfile();
        char block[2000] = { 0 };
        int good = file && write(fileno(file), block, 2000) == 1000 && write(fileno(file), block, 1) == -1
            && errno == EFBIG;
        _exit(!good);
    }
    CHECK("RLIMIT_FSIZE", status_of(child) == 0);
    child = fork();
    if (!child) {
        struct rlimit time = { 1, 1 };
        setrlimit(RLIMIT_CPU, &time);
        for (;;)
            ;
    }
    int status = status_of(child);
    CHECK("RLIMIT_CPU", status == -SIGXCPU || status == -SIGKILL);

    CHECK("no new privileges", !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHECK("dumpable", prctl(PR_GET_DUMPABLE) >= 0);
    CHECK_ERRNO("unknown prctl", prctl(9999, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO("unknown system call", syscall(5000), ENOSYS);
    CHECK_ERRNO("negative system call", syscall(-7), ENOSYS);
    return finish();
}
