// The seccomp filters of a guest's thread, which fell as any other thread of a VMM might.
#include "hostile.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

// The test writes behind the first line: what stands for the caller's own number; then each filter, its length before it.
static volatile char filters[16384] = "FILTERS OF THE TEST\n";

static int are_ordered;

void order_filters(void)
{
    are_ordered = 1;
}

static uint32_t read_number(size_t at)
{
    uint32_t value = 0;
    for (size_t i = 0; i < sizeof value; i++)
        value |= (uint32_t)(unsigned char)filters[at + i] << 8 * i;
    return value;
}

static void wear(size_t at, size_t length, uint32_t own_number)
{
    static struct sock_filter program[BPF_MAXINSNS];
    for (size_t i = 0; i < length; i++)
        ((char *)program)[i] = filters[at + i];
    struct sock_fprog whole = { .len = length / sizeof *program, .filter = program };
    for (size_t i = 0; i < whole.len; i++)
        if (program[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && program[i].k == own_number)
            program[i].k = getpid();
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole))
        _exit(errno);
}

void wear_filters(void)
{
    if (!are_ordered)
        return;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    size_t at = strlen("FILTERS OF THE TEST\n");
    uint32_t own_number = read_number(at), length;
    for (at += sizeof own_number; (length = read_number(at)) != 0; at += length)
        wear(at += sizeof length, length, own_number);
}
