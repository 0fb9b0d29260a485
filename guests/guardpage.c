/* Memory faults as signals: address, code, registers, returning into the program, and retrying the instruction. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile sig_atomic_t code;
static void *volatile address;
static volatile long trap, error, fault_address, instruction;
static char *volatile lazy;
static volatile int lazy_faults;

static void jump(int number, siginfo_t *info, void *context)
{
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)number;
    code = info->si_code;
    address = info->si_addr;
    trap = (long)registers[REG_TRAPNO];
    error = (long)registers[REG_ERR];
    fault_address = (long)registers[REG_CR2];
    instruction = (long)registers[REG_RIP];
    siglongjmp(back, 1);
}

static void commit(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    uintptr_t page = (uintptr_t)info->si_addr & ~4095UL;
    lazy_faults++;
    if (page < (uintptr_t)lazy || page >= (uintptr_t)lazy + (64 << 12)
        || mprotect((void *)page, 4096, PROT_READ | PROT_WRITE))
        _exit(97);
}

static void skip(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)number;
    (void)info;
    registers[REG_RAX] = 0x1234;
    registers[REG_RIP] += 3; /* movq (%rdi), %rax */
}

static void handle(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigemptyset(&action.sa_mask);
    NEED(!sigaction(SIGSEGV, &action, NULL));
}

/* Faults are provoked through volatile pointers; the result says whether one happened. */
static int reads(const char *where)
{
    if (sigsetjmp(back, 1))
        return 0;
    (void)*(const volatile char *)where;
    return 1;
}

static int writes(char *where)
{
    if (sigsetjmp(back, 1))
        return 0;
    *(volatile char *)where = 1;
    return 1;
}

static int calls(void *where)
{
    if (sigsetjmp(back, 1))
        return 0;
    ((void (*)(void))where)();
    return 1;
}

int main(void)
{
    handle(jump);
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(pages != MAP_FAILED);
    pages[0] = pages[4096] = pages[8192] = 7;
    NEED(!mprotect(pages + 4096, 4096, PROT_NONE));

    CHECK("read of the guard page faults", !reads(pages + 4096 + 123));
    CHECK("si_addr is exact", address == pages + 4096 + 123);
    CHECK("si_code SEGV_ACCERR", code == SEGV_ACCERR);
    CHECK("page fault trap", trap == 14);
    CHECK("error code: read from user mode", (error & ~1) == 4);
    CHECK("cr2 is si_addr", fault_address == (long)address);
    CHECK("write to the guard page faults", !writes(pages + 8191));
    CHECK("si_addr of the write", address == pages + 8191 && code == SEGV_ACCERR);
    CHECK("error code: write", (error & ~1) == 6);
    CHECK("neighbours are untouched", reads(pages + 4095) && reads(pages + 8192) && pages[8192] == 7);

    int faults = 0;
    for (int i = 0; i < 200; i++)
        faults += !writes(pages + 4096 + i) && address == pages + 4096 + i;
    CHECK("200 faults in a row", faults == 200);

    NEED(!mprotect(pages + 4096, 4096, PROT_READ));
    CHECK("content survives PROT_NONE", reads(pages + 4096) && pages[4096] == 7);
    CHECK("write to a read-only page faults", !writes(pages + 4096) && code == SEGV_ACCERR);
    CHECK("no execution without PROT_EXEC", !calls(pages + 4096) && address == pages + 4096 && code == SEGV_ACCERR);
    CHECK("rip is the fetch address", instruction == (long)(pages + 4096));

    NEED(!munmap(pages + 4096, 4096));
    CHECK("unmapped page faults", !reads(pages + 4096) && code == SEGV_MAPERR && address == pages + 4096);
    CHECK("null faults", !reads((char *)8) && code == SEGV_MAPERR && address == (void *)8);
    CHECK("code is not writable", !writes((char *)(uintptr_t)main) && code == SEGV_ACCERR);
    CHECK("kernel half faults", !reads((char *)0xffff800000001000UL) && code == SEGV_MAPERR);
    CHECK("non-canonical faults", !reads((char *)0x8000000000001000UL) && code == SI_KERNEL && address == NULL);

    lazy = mmap(NULL, 64 << 12, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(lazy != MAP_FAILED);
    handle(commit);
    for (int i = 0; i < 64; i++)
        ((volatile char *)lazy)[i * 4096 + i] = (char)i;
    int kept = 0;
    for (int i = 0; i < 64; i++)
        kept += lazy[i * 4096 + i] == (char)i;
    CHECK("instruction is retried after mprotect", kept == 64 && lazy_faults == 64);

    handle(skip);
    long value = 0;
    __asm__ volatile("movq (%%rdi), %%rax" : "=a"(value) : "D"(16L) : "memory");
    CHECK("handler edits registers", value == 0x1234);
    return finish();
}
