/* Instructions that a program may not or cannot execute: each ends as the signal that Linux sends for it. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile int number, code;
static void *volatile address;

static void caught(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    number = signal_number;
    code = info->si_code;
    address = info->si_addr;
    siglongjmp(back, 1);
}

#define TRY(...)                             \
    do {                                     \
        number = code = 0;                   \
        if (!sigsetjmp(back, 1)) {           \
            __VA_ARGS__;                     \
        }                                    \
    } while (0)

#define PRIVILEGED(name, text)                                                               \
    do {                                                                                     \
        TRY(__asm__ volatile(text ::: "rax", "rbx", "rcx", "rdx", "memory"));                \
        CHECK(name, number == SIGSEGV && code == SI_KERNEL && address == NULL);              \
    } while (0)

int main(void)
{
    struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
    const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        NEED(!sigaction(numbers[i], &action, NULL));

    PRIVILEGED("hlt", "hlt");
    PRIVILEGED("cli", "cli");
    PRIVILEGED("in", "mov $0x80, %%edx; in %%dx, %%al");
    PRIVILEGED("out", "mov $0x80, %%edx; out %%al, %%dx");
    PRIVILEGED("out, 32 bits", "mov $0xcf8, %%edx; out %%eax, %%dx");
    PRIVILEGED("outs", "push %%rsi; mov %%rsp, %%rsi; mov $0x80, %%edx; mov $1, %%ecx; rep outsb; pop %%rsi");
    PRIVILEGED("mov to cr0", "mov %%rax, %%cr0");
    PRIVILEGED("mov to cr3", "mov %%rax, %%cr3");
    PRIVILEGED("mov from cr4", "mov %%cr4, %%rax");
    PRIVILEGED("mov to dr7", "mov %%rax, %%dr7");
    PRIVILEGED("rdmsr", "mov $0xc0000080, %%ecx; rdmsr");
    PRIVILEGED("wrmsr", "mov $0xc0000082, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr");
    PRIVILEGED("invlpg", "invlpg (%%rsp)");
    PRIVILEGED("wbinvd", "wbinvd");
    PRIVILEGED("lgdt", "lgdt (%%rsp)");
    PRIVILEGED("lidt", "lidt (%%rsp)");
    PRIVILEGED("ltr", "mov $0x40, %%eax; ltr %%ax");
    PRIVILEGED("clts", "clts");
    PRIVILEGED("swapgs", "swapgs");
    PRIVILEGED("sysret", "mov $0, %%ecx; sysretq");
    PRIVILEGED("a null code segment", "push $0; push $0; lretq");

    TRY(__asm__ volatile("ud2"));
    CHECK("ud2", number == SIGILL && code == ILL_ILLOPN && address != NULL);
    TRY(__asm__ volatile("int3"));
    CHECK("int3", number == SIGTRAP && code == SI_KERNEL);
    volatile int zero = 0;
    TRY({ volatile int result = 7 / zero; (void)result; });
    CHECK("division by zero", number == SIGFPE && code == FPE_INTDIV && address != NULL);
    volatile int lowest = INT32_MIN, minus = -1;
    TRY({ volatile int result = lowest / minus; (void)result; });
    CHECK("division overflow", number == SIGFPE && code == FPE_INTDIV);
    TRY(__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop" ::: "cc"));
    CHECK("single step", number == SIGTRAP && code == TRAP_TRACE);
    TRY({
        unsigned control = 0x1f80 & ~0x200; /* unmask division by zero in MXCSR */
        __asm__ volatile("ldmxcsr %0" ::"m"(control));
        volatile double divisor = 0, result = 1 / divisor;
        (void)result;
    });
    CHECK("vector division by zero", number == SIGFPE && code == FPE_FLTDIV);
    TRY({
        unsigned short control = 0x37f & ~4;
        __asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(control));
    });
    CHECK("x87 division by zero", number == SIGFPE && code == FPE_FLTDIV);
    __asm__ volatile("fninit");
    TRY({
        uint64_t noncanonical = 0x1234567812345678;
        __asm__ volatile("mov %0, %%rax; jmp *%%rax" ::"r"(noncanonical) : "rax");
    });
    CHECK("jump to a non-canonical address", number == SIGSEGV);
    return finish();
}
