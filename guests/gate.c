/*
 * The instructions at the border to the kernel, as a program sees them: where the trap flag stops around a system call,
 * and that port I/O, by whatever instruction and to whatever port, faults, changes no register and can be skipped.
 */
#include "check.h"
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

extern char step_start[], step_end[];

static volatile int traps, faults, wrong;
static volatile long stops[16];
static volatile greg_t fault_at;

static void stepped(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (traps < 16)
        stops[traps] = (char *)registers[REG_RIP] - step_start;
    traps++;
    if (registers[REG_RIP] >= (greg_t)step_end)
        registers[REG_EFL] &= ~0x100;
}

/* The system call leaves the processor elsewhere in between. */
static void faulted(int number, siginfo_t *info, void *context)
{
    (void)number;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    fault_at = registers[REG_RIP];
    faults++;
    wrong += info->si_code != SI_KERNEL || info->si_addr != NULL;
    syscall(SYS_getppid);
    registers[REG_RIP] = registers[REG_RBX];
}

/*
 * RBX: where to go on. 0x7e is the port of the sandbox's own gate; where a program can reach it (README, "Known
 * differences"), RIP may already be behind the instruction.
 */
#define PORT(name, before, text)                                                                        \
    do {                                                                                                \
        char *at, *behind;                                                                              \
        long rax = 0x1122334455667788;                                                                  \
        int earlier = faults;                                                                           \
        __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %%rbx; mov %%rbx, %1; mov %%rsp, %%rsi; "   \
                         before "; 1: " text "; 2: nop"                                                 \
                         : "=&r"(at), "=&r"(behind), "+a"(rax)                                          \
                         :                                                                              \
                         : "rbx", "rcx", "rdx", "rsi", "rdi", "memory");                                \
        CHECK(name, faults == earlier + 1 && fault_at >= (greg_t)at && fault_at <= (greg_t)behind       \
                        && !wrong && rax == 0x1122334455667788);                                        \
    } while (0)

int main(void)
{
    struct sigaction action = { .sa_sigaction = stepped, .sa_flags = SA_SIGINFO };
    NEED(!sigaction(SIGTRAP, &action, NULL));
    long number = SYS_getppid;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq;"
                     "step_start: nop; syscall; nop; nop; mov %[number], %%rax; syscall; step_end: nop; nop"
                     : "+a"(number)
                     : [number] "r"((long)SYS_getppid)
                     : "rcx", "r11", "memory", "cc");
    CHECK("the system call under single step", number == getppid());
    for (int i = 0; i < traps && i < 16; i++)
        say("stopped at %ld", stops[i]);

    action.sa_sigaction = faulted;
    NEED(!sigaction(SIGSEGV, &action, NULL));
    for (int i = 0; i < 3; i++) {
        PORT("out, immediate port", "", "out %%al, $0x7e");
        PORT("out, immediate port, 32 bits", "", "out %%eax, $0x7e");
        PORT("out, port in DX", "mov $0x7e, %%edx", "out %%al, %%dx");
        PORT("out, a prefix", "mov $0x7e, %%edx", ".byte 0x2e; out %%al, %%dx");
        PORT("outs", "mov $0x7e, %%edx", "outsb");
        PORT("rep outs", "mov $0x7e, %%edx; mov $3, %%ecx", "rep outsb");
        PORT("ins", "mov $0x7e, %%edx; lea -256(%%rsp), %%rdi", "insb");
        PORT("in", "", "in $0x7e, %%al");
        PORT("another port", "", "out %%al, $0x80");
    }
    return finish();
}
