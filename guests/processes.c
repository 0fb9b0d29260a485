/* fork, exec, wait: a tree of processes, what a child inherits, what exec keeps and resets, and who reaps whom. */
#include "check.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static int tree(int depth)
{
    int status, sum = 1;
    pid_t children[2];
    if (depth == 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(tree(depth - 1));
        if (children[i] < 0)
            return 0;
    }
    for (int i = 0; i < 2; i++) {
        if (waitpid(children[i], &status, 0) != children[i] || !WIFEXITED(status))
            return 0;
        sum += WEXITSTATUS(status);
    }
    return sum;
}

static int status_of(pid_t child)
{
    int status = -1;
    NEED(child > 0);
    NEED(waitpid(child, &status, 0) == child);
    return status;
}

static int run_self(char *const arguments[])
{
    pid_t child = fork();
    if (!child) {
        execv("/proc/self/exe", arguments);
        _exit(126);
    }
    return status_of(child);
}

/* Started again by exec: tells through its exit status whether the state that exec must keep or reset is right. */
static int after_exec(char **argv)
{
    int kept = atoi(argv[2]), closed = atoi(argv[3]);
    struct sigaction action;
    sigset_t mask;
    int right = 1;
    right &= fcntl(kept, F_GETFD) == 0;
    right &= fcntl(closed, F_GETFD) == -1 && errno == EBADF;
    right &= !sigaction(SIGUSR1, NULL, &action) && action.sa_handler == SIG_DFL;
    right &= !sigaction(SIGUSR2, NULL, &action) && action.sa_handler == SIG_IGN;
    right &= !sigprocmask(SIG_SETMASK, NULL, &mask) && sigismember(&mask, SIGHUP) == 1;
    right &= !sigpending(&mask) && sigismember(&mask, SIGHUP) == 1;
    stack_t stack;
    right &= !sigaltstack(NULL, &stack) && stack.ss_flags == SS_DISABLE;
    right &= getppid() == atoi(argv[4]);
    mode_t old = umask(0);
    right &= old == 027;
    right &= getenv("KEPT") && !strcmp(getenv("KEPT"), "yes");
    return right ? 42 : 1;
}

static void handler(int number) { (void)number; }

static void exec_state(void)
{
    char kept[16], closed[16], parent[16];
    int descriptor = open("/dev/null", O_RDONLY), secret = open("/dev/null", O_RDONLY | O_CLOEXEC);
    snprintf(kept, sizeof kept, "%d", descriptor);
    snprintf(closed, sizeof closed, "%d", secret);
    snprintf(parent, sizeof parent, "%d", getpid());
    char *arguments[] = { "processes", "after-exec", kept, closed, parent, NULL };
    pid_t child = fork();
    if (!child) {
        static char space[65536];
        stack_t stack = { .ss_sp = space, .ss_size = sizeof space };
        sigaltstack(&stack, NULL);
        signal(SIGUSR1, handler);
        signal(SIGUSR2, SIG_IGN);
        sigset_t mask;
        sigemptyset(&mask);
        sigaddset(&mask, SIGHUP);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        raise(SIGHUP);
        umask(027);
        setenv("KEPT", "yes", 1);
        execv("/proc/self/exe", arguments);
        _exit(126);
    }
    int status = status_of(child);
    CHECK("exec keeps and resets what it should", WIFEXITED(status) && WEXITSTATUS(status) == 42);
    close(descriptor);
    close(secret);
}

static void exec_errors(void)
{
    char *arguments[] = { "x", NULL };
    char *none[] = { NULL };
    CHECK_ERRNO("exec of nothing", execve("/nonexistent", arguments, none), ENOENT);
    CHECK_ERRNO("exec of a directory", execve("/usr", arguments, none), EACCES);
    CHECK_ERRNO("exec of a device", execve("/dev/null", arguments, none), EACCES);
    CHECK_ERRNO("exec below a file", execve("/bin/sh/x", arguments, none), ENOTDIR);
    CHECK_ERRNO("exec of an empty path", execve("", arguments, none), ENOENT);
    CHECK_ERRNO("exec of a bad pointer", execve((char *)8, arguments, none), EFAULT);
    char path[] = "exec-target";
    int file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0755);
    NEED(file >= 0);
    NEED(write(file, "no program\n", 11) == 11);
    close(file);
    CHECK_ERRNO("exec of text", execve(path, arguments, none), ENOEXEC);
    NEED(!chmod(path, 0));
    CHECK_ERRNO("exec without permission", execve(path, arguments, none), EACCES);
    NEED(!chmod(path, 0755) && !truncate(path, 0));
    file = open(path, O_WRONLY | O_TRUNC);
    NEED(write(file, "#!/bin/echo one two\n", 20) == 20);
    close(file);
    char *script[] = { "ignored", "three", NULL };
    pid_t child = fork();
    if (!child) {
        execve(path, script, none);
        _exit(126);
    }
    CHECK("#! script", status_of(child) == 0);
    file = open(path, O_WRONLY | O_TRUNC);
    NEED(write(file, "#!/no/such/interpreter\n", 23) == 23);
    close(file);
    CHECK_ERRNO("#! of nothing", execve(path, script, none), ENOENT);
    file = open(path, O_WRONLY | O_TRUNC);
    NEED(write(file, "#!exec-target\n", 14) == 14);
    close(file);
    CHECK_ERRNO("#! of itself", execve(path, script, none), ELOOP);
    unlink(path);
}

static void waiting(void)
{
    int status;
    CHECK_ERRNO("wait without children", waitpid(-1, &status, 0), ECHILD);
    CHECK_ERRNO("wait with bad options", waitpid(-1, &status, 0x1000), EINVAL);
    int ends[2];
    char byte;
    NEED(!pipe(ends));
    pid_t first = fork();
    if (!first) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 3 : 4);
    }
    CHECK("WNOHANG", waitpid(first, &status, WNOHANG) == 0);
    pid_t second = fork();
    if (!second)
        _exit(9);
    siginfo_t info = { 0 };
    CHECK("waitid with WNOWAIT", !waitid(P_PID, (id_t)second, &info, WEXITED | WNOWAIT) && info.si_pid == second
        && info.si_code == CLD_EXITED && info.si_status == 9);
    struct rusage usage;
    CHECK("wait4 takes the one that ended", wait4(-1, &status, 0, &usage) == second && WEXITSTATUS(status) == 9);
    close(ends[1]);
    CHECK("then the other", waitpid(-1, &status, 0) == first && WEXITSTATUS(status) == 3);
    close(ends[0]);
    CHECK_ERRNO("not a child", waitpid(1 << 21, &status, 0), ECHILD);
}

static void orphans(void)
{
    int ends[2];
    NEED(!pipe(ends));
    pid_t child = fork();
    if (!child) {
        pid_t parent = getpid();
        if (!fork()) {
            struct timespec little = { 0, 2000000 };
            for (int i = 0; i < 1000 && getppid() == parent; i++)
                nanosleep(&little, NULL);
            char answer = getppid() != parent ? 'y' : 'n';
            _exit(write(ends[1], &answer, 1) != 1);
        }
        _exit(0);
    }
    close(ends[1]);
    CHECK("parent of an orphan", status_of(child) == 0);
    char answer = 0;
    CHECK("orphan is adopted", read(ends[0], &answer, 1) == 1 && answer == 'y');
    CHECK("and leaves", read(ends[0], &answer, 1) == 0);
    close(ends[0]);

    NEED(!prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    NEED(!pipe(ends));
    child = fork();
    if (!child) {
        pid_t grandchild = fork();
        if (!grandchild) {
            char byte;
            close(ends[1]);
            _exit(read(ends[0], &byte, 1) == 0 ? 5 : 6);
        }
        _exit(0);
    }
    NEED(status_of(child) == 0);
    close(ends[1]);
    int status;
    CHECK("a subreaper reaps it", wait(&status) > 0 && WEXITSTATUS(status) == 5);
    close(ends[0]);
    NEED(!prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0));
}

static void inheritance(void)
{
    struct rlimit files = { 123, 4000 };
    struct rlimit old;
    NEED(!getrlimit(RLIMIT_NOFILE, &old));
    if (files.rlim_max > old.rlim_max)
        files.rlim_max = old.rlim_max;
    prctl(PR_SET_NAME, "renamed");
    pid_t child = fork();
    if (!child) {
        struct rlimit now;
        char name[16] = "";
        prctl(PR_GET_NAME, name);
        setrlimit(RLIMIT_NOFILE, &files);
        int refused = 0;
        for (int i = 0; i < 200; i++)
            refused = open("/dev/null", O_RDONLY) == -1 && errno == EMFILE;
        _exit(!strcmp(name, "renamed") && !getrlimit(RLIMIT_NOFILE, &now) && now.rlim_cur == 123 && refused ? 0 : 1);
    }
    CHECK("name inherited, RLIMIT_NOFILE enforced", status_of(child) == 0);
    struct rlimit now;
    CHECK("limits of the parent stay", !getrlimit(RLIMIT_NOFILE, &now) && now.rlim_cur == old.rlim_cur);

    int file = open("offsets", O_CREAT | O_RDWR | O_TRUNC, 0600);
    NEED(file >= 0 && write(file, "abcdef", 6) == 6 && lseek(file, 1, SEEK_SET) == 1);
    child = fork();
    if (!child) {
        char byte;
        _exit(read(file, &byte, 1) == 1 && byte == 'b' ? 0 : 1);
    }
    char byte = 0;
    CHECK("child reads", status_of(child) == 0);
    CHECK("offset is shared", read(file, &byte, 1) == 1 && byte == 'c');
    close(file);
    unlink("offsets");
}

static int cloned(void *argument)
{
    *(int *)argument = 99;
    return 17;
}

static void raw_clone(void)
{
    static char stack[65536];
    int value = 0;
    pid_t child = clone(cloned, stack + sizeof stack, SIGCHLD, &value);
    int status = status_of(child);
    CHECK("clone without CLONE_VM copies", WEXITSTATUS(status) == 17 && value == 0);
    child = clone(cloned, stack + sizeof stack, CLONE_VM | SIGCHLD, &value);
    status = status_of(child);
    CHECK("clone with CLONE_VM shares", WEXITSTATUS(status) == 17 && value == 99);
    CHECK_ERRNO("CLONE_THREAD needs CLONE_SIGHAND", syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO("CLONE_SIGHAND needs CLONE_VM", syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
}

int main(int argc, char **argv)
{
    if (argc > 4 && !strcmp(argv[1], "after-exec"))
        return after_exec(argv);
    if (argc > 2 && !strcmp(argv[1], "exit"))
        return atoi(argv[2]);

    waiting();
    say("processes in the tree: %d", tree(4));
    char *exits[] = { "processes", "exit", "77", NULL };
    CHECK("exec of /proc/self/exe", WEXITSTATUS(run_self(exits)) == 77);
    exec_state();
    exec_errors();
    orphans();
    inheritance();
    raw_clone();
    int sum = 0;
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (!child)
            _exit(i);
        sum += WEXITSTATUS(status_of(child));
    }
    CHECK("100 children one after the other", sum == 4950);
    return finish();
}
