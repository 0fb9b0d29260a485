/* Signals: handlers, masks, pending sets, queues, restarting, interruption, timers, and default actions. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t counts[65];
static volatile sig_atomic_t last_value, last_code, order[8], ordered, nested_depth, deepest;
static volatile pid_t last_sender;

static void count(int number, siginfo_t *info, void *context)
{
    (void)context;
    counts[number]++;
    last_code = info->si_code;
    last_value = info->si_value.sival_int;
    last_sender = info->si_pid;
    if (ordered < 8)
        order[ordered++] = number;
}

static void nested(int number)
{
    nested_depth++;
    if (nested_depth > deepest)
        deepest = nested_depth;
    if (counts[number]++ < 3)
        raise(number);
    nested_depth--;
}

static void install(int number, int flags)
{
    struct sigaction action = { .sa_sigaction = count, .sa_flags = SA_SIGINFO | flags };
    sigemptyset(&action.sa_mask);
    NEED(!sigaction(number, &action, NULL));
    counts[number] = 0;
}

static void block(int how, int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    NEED(!sigprocmask(how, &set, NULL));
}

static int pending(int number)
{
    sigset_t set;
    NEED(!sigpending(&set));
    return sigismember(&set, number);
}

static void delay(long milliseconds)
{
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    while (nanosleep(&time, &time) && errno == EINTR)
        ;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void masks(void)
{
    install(SIGUSR1, 0);
    CHECK("raise runs the handler before it returns", !raise(SIGUSR1) && counts[SIGUSR1] == 1);
    CHECK("sender", last_code == SI_TKILL && last_sender == getpid());
    CHECK("kill", !kill(getpid(), SIGUSR1) && counts[SIGUSR1] == 2 && last_code == SI_USER);
    CHECK("kill 0", !kill(getpid(), 0) && counts[SIGUSR1] == 2);
    CHECK_ERRNO("kill with a bad number", kill(getpid(), 65), EINVAL);
    CHECK_ERRNO("kill nobody", kill(4194300, SIGUSR1), ESRCH);

    block(SIG_BLOCK, SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR1);
    CHECK("blocked", counts[SIGUSR1] == 2 && pending(SIGUSR1));
    block(SIG_UNBLOCK, SIGUSR1);
    CHECK("delivered once when unblocked", counts[SIGUSR1] == 3 && !pending(SIGUSR1));

    sigset_t all, old;
    sigfillset(&all);
    NEED(!sigprocmask(SIG_SETMASK, &all, &old));
    sigset_t current;
    NEED(!sigprocmask(SIG_SETMASK, NULL, &current));
    CHECK("SIGKILL and SIGSTOP are never blocked", !sigismember(&current, SIGKILL) && !sigismember(&current, SIGSTOP)
        && sigismember(&current, SIGTERM));
    NEED(!sigprocmask(SIG_SETMASK, &old, NULL));
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    CHECK_ERRNO("SIGKILL cannot be ignored", sigaction(SIGKILL, &ignore, NULL), EINVAL);
    CHECK_ERRNO("bad mask size", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 4), EINVAL);

    struct sigaction none = { .sa_handler = nested, .sa_flags = SA_NODEFER };
    NEED(!sigaction(SIGUSR2, &none, NULL));
    counts[SIGUSR2] = 0;
    raise(SIGUSR2);
    CHECK("SA_NODEFER nests", deepest == 4 && nested_depth == 0);
    none.sa_flags = 0;
    NEED(!sigaction(SIGUSR2, &none, NULL));
    counts[SIGUSR2] = deepest = 0;
    raise(SIGUSR2);
    CHECK("without it handlers run in turn", deepest == 1 && counts[SIGUSR2] == 4);
    install(SIGUSR2, SA_RESETHAND);
    raise(SIGUSR2);
    struct sigaction after;
    NEED(!sigaction(SIGUSR2, NULL, &after));
    CHECK("SA_RESETHAND", counts[SIGUSR2] == 1 && after.sa_handler == SIG_DFL);
}

static void queues(void)
{
    int low = SIGRTMIN, high = SIGRTMIN + 3;
    install(low, 0);
    install(high, 0);
    block(SIG_BLOCK, low);
    block(SIG_BLOCK, high);
    union sigval value;
    for (value.sival_int = 1; value.sival_int <= 3; value.sival_int++)
        NEED(!sigqueue(getpid(), low, value));
    NEED(!sigqueue(getpid(), high, value));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, low);
    siginfo_t info;
    struct timespec soon = { 0, 1000000 };
    CHECK("sigtimedwait takes the oldest", sigtimedwait(&set, &info, &soon) == low && info.si_value.sival_int == 1
        && info.si_code == SI_QUEUE);
    CHECK("sigwaitinfo", sigwaitinfo(&set, &info) == low && info.si_value.sival_int == 2);
    ordered = 0;
    sigset_t both = set;
    sigaddset(&both, high);
    NEED(!sigprocmask(SIG_UNBLOCK, &both, NULL));
    CHECK("real-time signals are queued", counts[low] == 1 && counts[high] == 1);
    CHECK("si_value arrives", last_value == 3 || last_value == 4);
    NEED(!sigprocmask(SIG_BLOCK, &both, NULL));
    CHECK_ERRNO("sigtimedwait times out", sigtimedwait(&set, &info, &soon), EAGAIN);
    struct timespec bad = { 0, 2000000000 };
    CHECK_ERRNO("sigtimedwait with bad time", sigtimedwait(&set, &info, &bad), EINVAL);

    int descriptor = signalfd(-1, &both, SFD_CLOEXEC | SFD_NONBLOCK);
    struct signalfd_siginfo record;
    CHECK_ERRNO("signalfd is empty", read(descriptor, &record, sizeof record), EAGAIN);
    value.sival_int = 77;
    NEED(!sigqueue(getpid(), high, value));
    struct pollfd poll_one = { descriptor, POLLIN, 0 };
    CHECK("signalfd polls", poll(&poll_one, 1, 1000) == 1 && poll_one.revents == POLLIN);
    CHECK("signalfd reads", read(descriptor, &record, sizeof record) == sizeof record
        && record.ssi_signo == (unsigned)high && record.ssi_int == 77);
    close(descriptor);
    NEED(!sigprocmask(SIG_UNBLOCK, &both, NULL));
}

static pid_t signal_soon(int number, int then_write)
{
    pid_t parent = getpid();
    pid_t child = fork();
    NEED(child >= 0);
    if (!child) {
        delay(60);
        kill(parent, number);
        if (then_write >= 0) {
            delay(60);
            if (write(then_write, "x", 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    return child;
}

static void reap(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
}

static void restarting(void)
{
    int ends[2];
    char byte = 0;
    NEED(!pipe(ends));
    install(SIGUSR1, 0);
    pid_t child = signal_soon(SIGUSR1, -1);
    CHECK_ERRNO("read is interrupted", read(ends[0], &byte, 1), EINTR);
    reap(child);
    install(SIGUSR1, SA_RESTART);
    child = signal_soon(SIGUSR1, ends[1]);
    CHECK("SA_RESTART restarts read", read(ends[0], &byte, 1) == 1 && byte == 'x' && counts[SIGUSR1] == 1);
    reap(child);
    counts[SIGUSR1] = 0;
    child = signal_soon(SIGUSR1, -1);
    struct pollfd one = { ends[0], POLLIN, 0 };
    CHECK_ERRNO("poll is never restarted", poll(&one, 1, 5000), EINTR);
    reap(child);
    child = signal_soon(SIGUSR1, -1);
    struct timespec long_time = { 10, 0 }, left = { 0, 0 };
    CHECK_ERRNO("nanosleep is interrupted", nanosleep(&long_time, &left), EINTR);
    CHECK("nanosleep tells what is left", left.tv_sec == 9);
    reap(child);
    child = signal_soon(SIGUSR1, -1);
    CHECK_ERRNO("pause", pause(), EINTR);
    reap(child);
    child = signal_soon(SIGUSR1, -1);
    int status = 0;
    CHECK("SA_RESTART restarts wait", waitpid(child, &status, 0) == child && status == 0);

    block(SIG_BLOCK, SIGUSR1);
    counts[SIGUSR1] = 0;
    raise(SIGUSR1);
    sigset_t none;
    sigemptyset(&none);
    CHECK_ERRNO("sigsuspend", sigsuspend(&none), EINTR);
    CHECK("sigsuspend let it through and blocked it again", counts[SIGUSR1] == 1);
    raise(SIGUSR1);
    CHECK_ERRNO("ppoll swaps the mask", ppoll(&one, 1, &long_time, &none), EINTR);
    CHECK("handler of ppoll ran", counts[SIGUSR1] == 2);
    block(SIG_UNBLOCK, SIGUSR1);
    close(ends[0]);
    close(ends[1]);
}

static void children(void)
{
    install(SIGCHLD, 0);
    pid_t child = fork();
    NEED(child >= 0);
    if (!child)
        _exit(7);
    while (!counts[SIGCHLD])
        delay(5);
    int status = 0;
    CHECK("SIGCHLD on exit", counts[SIGCHLD] == 1 && last_code == CLD_EXITED && last_sender == child);
    CHECK("its status", waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);

    counts[SIGCHLD] = 0;
    child = fork();
    NEED(child >= 0);
    if (!child)
        for (;;)
            pause();
    NEED(!kill(child, SIGSTOP));
    CHECK("WUNTRACED sees the stop", waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status)
        && WSTOPSIG(status) == SIGSTOP);
    NEED(!kill(child, SIGCONT));
    CHECK("WCONTINUED sees it go on", waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    NEED(!kill(child, SIGTERM));
    CHECK("killed by SIGTERM", waitpid(child, &status, 0) == child && WIFSIGNALED(status)
        && WTERMSIG(status) == SIGTERM);

    signal(SIGCHLD, SIG_IGN);
    child = fork();
    NEED(child >= 0);
    if (!child)
        _exit(0);
    CHECK_ERRNO("ignored SIGCHLD leaves no zombie", waitpid(child, &status, 0), ECHILD);
    signal(SIGCHLD, SIG_DFL);
}

static void timers(void)
{
    install(SIGALRM, 0);
    double start = now();
    alarm(1);
    pause();
    double spent = now() - start;
    CHECK("alarm", counts[SIGALRM] == 1 && spent > 0.9 && spent < 3);
    struct itimerval every = { { 0, 20000 }, { 0, 20000 } }, off = { 0 }, current;
    NEED(!setitimer(ITIMER_REAL, &every, NULL));
    while (counts[SIGALRM] < 5)
        pause();
    NEED(!getitimer(ITIMER_REAL, &current));
    CHECK("interval timer", current.it_interval.tv_usec == 20000);
    NEED(!setitimer(ITIMER_REAL, &off, NULL));
    CHECK("alarm returns what was left", alarm(100) == 0 && alarm(0) >= 99);

    install(SIGRTMIN + 1, 0);
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1 };
    event.sigev_value.sival_int = 55;
    timer_t timer;
    NEED(!timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec once = { { 0, 0 }, { 0, 20000000 } };
    NEED(!timer_settime(timer, 0, &once, NULL));
    while (!counts[SIGRTMIN + 1])
        delay(5);
    CHECK("POSIX timer", last_code == SI_TIMER && last_value == 55);
    CHECK("timer_delete", !timer_delete(timer));

    install(SIGVTALRM, 0);
    struct itimerval cpu = { { 0, 0 }, { 0, 20000 } };
    NEED(!setitimer(ITIMER_VIRTUAL, &cpu, NULL));
    start = now();
    while (!counts[SIGVTALRM] && now() - start < 5)
        ;
    CHECK("virtual timer", counts[SIGVTALRM] == 1);
}

static int ends_by(int number, void (*act)(void))
{
    pid_t child = fork();
    NEED(child >= 0);
    if (!child) {
        act();
        _exit(0);
    }
    int status;
    NEED(waitpid(child, &status, 0) == child);
    return number ? WIFSIGNALED(status) && WTERMSIG(status) == number : WIFEXITED(status) && !WEXITSTATUS(status);
}

static void broken_pipe(void)
{
    int ends[2];
    NEED(!pipe(ends));
    close(ends[0]);
    if (write(ends[1], "x", 1) == -1)
        _exit(3);
}
static void broken_pipe_ignored(void)
{
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    NEED(!pipe(ends));
    close(ends[0]);
    if (write(ends[1], "x", 1) != -1 || errno != EPIPE)
        _exit(3);
}
static void raise_term(void) { raise(SIGTERM); }
static void raise_winch(void) { raise(SIGWINCH); }
static void raise_realtime(void) { raise(SIGRTMIN + 5); }
static void do_abort(void) { abort(); }
static void segv_blocked(void)
{
    block(SIG_BLOCK, SIGSEGV);
    *(volatile int *)8 = 1;
}
static void segv_ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
    *(volatile int *)8 = 1;
}
static void file_too_large(void)
{
    raise(SIGXFSZ);
}

static void defaults(void)
{
    CHECK("SIGPIPE kills", ends_by(SIGPIPE, broken_pipe));
    CHECK("EPIPE when ignored", ends_by(0, broken_pipe_ignored));
    CHECK("SIGTERM kills", ends_by(SIGTERM, raise_term));
    CHECK("SIGWINCH is ignored", ends_by(0, raise_winch));
    CHECK("a real-time signal kills", ends_by(SIGRTMIN + 5, raise_realtime));
    CHECK("abort", ends_by(SIGABRT, do_abort));
    CHECK("a blocked fault kills", ends_by(SIGSEGV, segv_blocked));
    CHECK("an ignored fault kills", ends_by(SIGSEGV, segv_ignored));
    CHECK("SIGXFSZ kills", ends_by(SIGXFSZ, file_too_large));
}

static atomic_int got_in_thread;
static pthread_t expected;

static void in_thread(int number)
{
    (void)number;
    if (pthread_equal(pthread_self(), expected))
        atomic_store(&got_in_thread, 1);
}

static void *wait_in_thread(void *unused)
{
    (void)unused;
    while (!atomic_load(&got_in_thread))
        delay(2);
    return NULL;
}

static void *take_with_sigwait(void *argument)
{
    int number = 0;
    NEED(!sigwait(argument, &number));
    return (void *)(long)number;
}

static void threads(void)
{
    struct sigaction action = { .sa_handler = in_thread };
    NEED(!sigaction(SIGUSR1, &action, NULL));
    NEED(!pthread_create(&expected, NULL, wait_in_thread, NULL));
    NEED(!pthread_kill(expected, SIGUSR1) && !pthread_join(expected, NULL));
    CHECK("pthread_kill reaches its thread", got_in_thread == 1);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    NEED(!pthread_sigmask(SIG_BLOCK, &set, NULL));
    pthread_t thread;
    void *result = NULL;
    NEED(!pthread_create(&thread, NULL, take_with_sigwait, &set));
    NEED(!kill(getpid(), SIGUSR2) && !pthread_join(thread, &result));
    CHECK("sigwait in a thread", (long)result == SIGUSR2);

    /* A thread that spins without system calls still gets its signal. */
    static volatile sig_atomic_t *flag = &counts[SIGALRM];
    install(SIGALRM, 0);
    struct itimerval soon = { { 0, 0 }, { 0, 30000 } };
    NEED(!setitimer(ITIMER_REAL, &soon, NULL));
    while (!*flag)
        ;
    CHECK("a spinning thread is interrupted", counts[SIGALRM] == 1);
}

static sigjmp_buf out;
static void leap(int number) { (void)number; siglongjmp(out, 1); }

static void leaping(void)
{
    struct sigaction action = { .sa_handler = leap };
    NEED(!sigaction(SIGUSR1, &action, NULL));
    volatile int leaps = 0;
    while (leaps < 100) {
        if (!sigsetjmp(out, 1))
            raise(SIGUSR1);
        leaps++;
    }
    CHECK("siglongjmp out of a handler restores the mask", leaps == 100 && !pending(SIGUSR1));

    /* Floating-point and vector state survive a handler that uses them. */
    install(SIGUSR1, 0);
    double vector[8];
    for (int i = 0; i < 8; i++)
        vector[i] = i * 1.5;
    double sum = 0;
    for (int i = 0; i < 8; i++) {
        sum += vector[i];
        raise(SIGUSR1);
    }
    CHECK("floating-point state survives", sum == 42.0);
}

int main(void)
{
    masks();
    queues();
    restarting();
    children();
    timers();
    defaults();
    threads();
    leaping();
    return finish();
}
