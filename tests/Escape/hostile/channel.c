#include "hostile.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

int granted[256], granted_count;

static void send_bytes(const void *bytes, size_t length)
{
    if (send(CHANNEL, bytes, length, MSG_NOSIGNAL) < 0)
        exit(1);
}

static struct message of_kind(uint32_t kind)
{
    return (struct message){ .version = 1, .kind = kind };
}

void say(uint32_t kind, uint32_t cause, int64_t value)
{
    struct message message = of_kind(kind);
    message.cause = cause;
    message.value = value;
    send_bytes(&message, sizeof message);
}

// The descriptors of the message stay open; what is ordered with them is put on if the test says so.
struct message take_start(void)
{
    struct message start;
    struct iovec part = { &start, sizeof start };
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof granted)]; } control;
    struct msghdr envelope = { .msg_iov = &part, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof control };
    if (recvmsg(CHANNEL, &envelope, 0) != sizeof start)
        exit(1);
    struct cmsghdr *head = CMSG_FIRSTHDR(&envelope);
    granted_count = head ? (head->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    memcpy(granted, CMSG_DATA(head), granted_count * sizeof(int));
    // Where privileges can be gained, the kernel lets nobody restrict himself: then that wall does not stand either.
    if ((start.detail32 & 1) && number("obey") && syscall(SYS_landlock_restrict_self, granted[1], 0) && errno != EPERM)
        exit(1);
    if ((start.detail32 & 2) && number("obey"))
        order_filters();
    if (number("deny-write-execute"))
        prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0);
    return start;
}

static void started(void)
{
    take_start();
    say(STARTED, 0, 0);
}

static void live_on(void)
{
    for (;;)
        pause();
}

static void pass(int kind, const void *data, size_t length)
{
    struct message message = of_kind(STARTED);
    struct iovec part = { &message, sizeof message };
    union { struct cmsghdr head; char room[CMSG_SPACE(4096)]; } control = { .head = {
        .cmsg_level = SOL_SOCKET, .cmsg_type = kind, .cmsg_len = CMSG_LEN(length) } };
    memcpy(CMSG_DATA(&control.head), data, length);
    struct msghdr envelope = { .msg_iov = &part, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = CMSG_SPACE(length) };
    if (sendmsg(CHANNEL, &envelope, MSG_NOSIGNAL) < 0)
        exit(1);
}

static void silent(void)
{
    take_start();
}

static void flood(void)
{
    started();
    for (;;)
        say(STOPPED, 0, 0);
}

static void flood_started(void)
{
    for (;;)
        say(STARTED, 0, 0);
}

static void end_first(void)
{
    say(ENDED, 1, 7);
}

static void too_short(void)
{
    send_bytes("x", 1);
}

static void too_long(void)
{
    static char bytes[60000];
    send_bytes(bytes, sizeof bytes);
}

static void empty(void)
{
    send_bytes("", 0);
}

static void wrong_version(void)
{
    struct message message = of_kind(STARTED);
    message.version = 2;
    send_bytes(&message, sizeof message);
}

static void wrong_kind(void)
{
    say(0xffffffff, 0, 0);
}

static void supervisors_kind(void)
{
    say(START, 0, 0);
}

static void wrong_cause(void)
{
    say(ENDED, 0xffffffff, -1);
}

static void wrong_status(void)
{
    say(ENDED, 1, INT64_MIN);
}

static void wrong_signal(void)
{
    say(ENDED, 2, INT64_MAX);
}

static void wrong_failure(void)
{
    struct message message = of_kind(ENDED);
    message.cause = 9;
    message.detail32 = 0xffffffff;
    message.value = INT64_MIN;
    message.detail = INT64_MIN;
    send_bytes(&message, sizeof message);
}

static void started_twice(void)
{
    started();
    say(STARTED, 0, 0);
}

static void stopped_without_terminal(void)
{
    started();
    say(STOPPED, 0, 0);
}

static void pass_descriptors(void)
{
    int descriptors[100];
    for (int i = 0; i < 100; i++)
        descriptors[i] = KVM;
    pass(SCM_RIGHTS, descriptors, sizeof descriptors);
}

static void pass_channel(void)
{
    int channel = CHANNEL;
    pass(SCM_RIGHTS, &channel, sizeof channel);
}

// One is read, and ends it; the other stays in the queue, and would keep the pipe behind standard error open.
static void leave_descriptors(void)
{
    int error = STDERR_FILENO;
    started();
    pass(SCM_RIGHTS, &error, sizeof error);
    pass(SCM_RIGHTS, &error, sizeof error);
    exit(0);
}

// Nobody asked for it, and so the kernel does not deliver it.
static void pass_identity(void)
{
    struct ucred identity = { getpid(), getuid(), getgid() };
    pass(SCM_CREDENTIALS, &identity, sizeof identity);
    say(ENDED, 1, 9);
}

static void close_and_live_on(void)
{
    started();
    close(CHANNEL);
}

static void end_and_live_on(void)
{
    started();
    say(ENDED, 1, 3);
}

static void never_end(void)
{
    started();
}

static void stop_itself(void)
{
    started();
    for (;;)
        raise(SIGSTOP);
}

static void block_signals(void)
{
    sigset_t every;
    sigfillset(&every);
    sigprocmask(SIG_BLOCK, &every, NULL);
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    started();
}

static void crash(void)
{
    started();
    raise(SIGSEGV);
    *(volatile char *)0 = 0;
}

static void leave_processes(void)
{
    for (int i = 0; i < 20; i++)
    {
        if (fork())
            continue;
        setsid();
        if (fork() == 0)
        {
            prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
            prctl(PR_SET_NAME, setting("mark"), 0, 0, 0);
            close(CHANNEL);
            close(KVM);
            close(STDERR_FILENO);
            live_on();
        }
        _exit(0);
    }
    started();
    // The processes have their names by now, or the test looks for something that is not there yet.
    usleep(200000);
    say(ENDED, 1, 0);
    exit(0);
}

// A name that the test finds on the host, as long as it lives.
static void outlive(void)
{
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    prctl(PR_SET_NAME, setting("mark"), 0, 0, 0);
    started();
}

static void write_without_end(void)
{
    started();
    static char line[65536];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 1024; i++)
        if (write(STDERR_FILENO, line, sizeof line) < 0)
            break;
    say(ENDED, 1, 0);
    exit(0);
}

// Says that it has put on what it was told to. What it says when it hears that it may go on should never be said.
static void claim_confinement(uint32_t orders)
{
    struct message message = of_kind(CONFINED);
    message.detail32 = orders;
    send_bytes(&message, sizeof message);
    if (recv(CHANNEL, &message, sizeof message, 0) == sizeof message && message.kind == GO)
        dprintf(STDERR_FILENO, "it was let go on\n");
    exit(1);
}

static void lie(void)
{
    claim_confinement(take_start().detail32);
}

static void tell_half(void)
{
    claim_confinement(take_start().detail32 & ~1u);
}

static void allow_everything(void)
{
    struct sock_filter allow = { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
    struct sock_fprog filter = { 1, &allow };
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))
        exit(1);
}

static volatile int is_named;

static void *sleep_on(void *nothing)
{
    is_named = !prctl(PR_SET_NAME, "kvm-nx-lpage-re");
    live_on();
    return nothing;
}

// Filters on every thread but one, which bears the name of one of the kernel's.
static void spare_a_thread(void)
{
    struct message start = take_start();
    pthread_t bare;
    if (pthread_create(&bare, NULL, sleep_on, NULL))
        exit(1);
    while (!is_named)
        sched_yield();
    allow_everything();
    claim_confinement(start.detail32);
}

int talk(const char *scenario)
{
    static const struct { const char *name; void (*act)(void); } scenarios[] = {
        { "silent", silent }, { "flood", flood }, { "flood-started", flood_started }, { "end-first", end_first },
        { "too-short", too_short }, { "too-long", too_long }, { "empty", empty }, { "wrong-version", wrong_version },
        { "wrong-kind", wrong_kind }, { "supervisors-kind", supervisors_kind }, { "wrong-cause", wrong_cause },
        { "wrong-status", wrong_status }, { "wrong-signal", wrong_signal }, { "wrong-failure", wrong_failure },
        { "started-twice", started_twice }, { "stopped-without-terminal", stopped_without_terminal },
        { "leave-descriptors", leave_descriptors }, { "pass-descriptors", pass_descriptors }, { "pass-channel", pass_channel }, { "pass-identity", pass_identity },
        { "close-and-live-on", close_and_live_on }, { "end-and-live-on", end_and_live_on }, { "never-end", never_end },
        { "stop-itself", stop_itself }, { "block-signals", block_signals }, { "crash", crash },
        { "lie", lie }, { "tell-half", tell_half }, { "spare-a-thread", spare_a_thread },
        { "leave-processes", leave_processes }, { "outlive", outlive }, { "write-without-end", write_without_end },
    };
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (!strcmp(scenarios[i].name, scenario))
        {
            scenarios[i].act();
            live_on();
        }
    dprintf(STDERR_FILENO, "no scenario '%s'\n", scenario);
    return 1;
}
