/* Stack overflow met on an alternate signal stack, in the first thread and in another one; sigaltstack's rules. */
#include "check.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

static __thread sigjmp_buf back;
static __thread char *alternate;
static const size_t alternate_size = 64 * 1024;
static volatile int on_alternate, change_refused, flagged;
static void *volatile address;

static void caught(int number, siginfo_t *info, void *context)
{
    char local;
    (void)number;
    (void)context;
    on_alternate = &local >= alternate && &local < alternate + alternate_size;
    address = info->si_addr;
    stack_t now, disabled = { .ss_flags = SS_DISABLE };
    flagged = !sigaltstack(NULL, &now) && now.ss_flags == SS_ONSTACK && now.ss_sp == alternate;
    change_refused = sigaltstack(&disabled, NULL) == -1 && errno == EPERM;
    siglongjmp(back, 1);
}

static volatile char sink;

__attribute__((noinline)) static int descend(int depth)
{
    volatile char frame[1024];
    frame[0] = (char)depth;
    frame[1023] = sink;
    int result = depth < 1 << 30 ? descend(depth + 1) : 0;
    sink = frame[0];
    return result + frame[1023];
}

static void install(void)
{
    alternate = mmap(NULL, alternate_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(alternate != MAP_FAILED);
    stack_t stack = { .ss_sp = alternate, .ss_size = alternate_size };
    NEED(!sigaltstack(&stack, NULL));
}

static void overflow(void)
{
    on_alternate = change_refused = flagged = 0;
    if (!sigsetjmp(back, 1))
        descend(0);
}

static void *overflow_in_thread(void *unused)
{
    (void)unused;
    install();
    overflow();
    pthread_attr_t attributes;
    void *lowest;
    size_t size;
    NEED(!pthread_getattr_np(pthread_self(), &attributes) && !pthread_attr_getstack(&attributes, &lowest, &size));
    CHECK("thread: handler ran on the alternate stack", on_alternate);
    CHECK("thread: si_addr is in the guard", (char *)address < (char *)lowest + 4096
        && (char *)address >= (char *)lowest - 16 * 4096);
    return NULL;
}

int main(void)
{
    struct rlimit limit = { 1 << 20, RLIM_INFINITY };
    struct rlimit old;
    NEED(!getrlimit(RLIMIT_STACK, &old));
    limit.rlim_max = old.rlim_max;
    NEED(!setrlimit(RLIMIT_STACK, &limit));

    struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    NEED(!sigaction(SIGSEGV, &action, NULL));
    stack_t stack, small = { .ss_sp = &stack, .ss_size = 512 }, bad = { .ss_flags = 0x40 };
    CHECK("no alternate stack at first", !sigaltstack(NULL, &stack) && stack.ss_flags == SS_DISABLE);
    CHECK_ERRNO("too small", sigaltstack(&small, NULL), ENOMEM);
    CHECK_ERRNO("bad flags", sigaltstack(&bad, NULL), EINVAL);
    install();
    CHECK("installed", !sigaltstack(NULL, &stack) && stack.ss_sp == alternate && stack.ss_flags == 0);

    char here;
    overflow();
    CHECK("handler ran on the alternate stack", on_alternate);
    CHECK("SS_ONSTACK inside", flagged);
    CHECK("no change while on it", change_refused);
    CHECK("si_addr is about 1 MiB below", (uintptr_t)&here - (uintptr_t)address > (700 << 10)
        && (uintptr_t)&here - (uintptr_t)address < (1100 << 10));
    overflow();
    CHECK("a second overflow", on_alternate);

    pthread_t thread;
    NEED(!pthread_create(&thread, NULL, overflow_in_thread, NULL) && !pthread_join(thread, NULL));

    stack_t disabled = { .ss_flags = SS_DISABLE };
    CHECK("disable", !sigaltstack(&disabled, NULL) && !sigaltstack(NULL, &stack) && stack.ss_flags == SS_DISABLE);
    return finish();
}
