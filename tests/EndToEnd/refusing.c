// refusing [NUMBER[&MASK]=ERRNO]... -- PROGRAM [ARGUMENT]...: runs a program on a kernel that answers these system calls with
// an error: all of a number, or those whose first argument has a bit of the mask.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int count, char **arguments)
{
    struct sock_filter code[256];
    unsigned short length = 0;
    int at = 1;
    for (; at < count && strcmp(arguments[at], "--") != 0 && length < 250; at++) {
        unsigned number, mask = 0, error;
        if (sscanf(arguments[at], "%u&%x=%u", &number, &mask, &error) != 3 &&
            sscanf(arguments[at], "%u=%u", &number, &error) != 2)
            return 1;
        code[length++] = (struct sock_filter)LOAD(nr);
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, mask ? 3 : 1);
        if (mask) {
            code[length++] = (struct sock_filter)LOAD(args[0]);
            code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, mask, 0, 1);
        }
        code[length++] = (struct sock_filter)ANSWER(SECCOMP_RET_ERRNO | error);
    }
    code[length++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
    struct sock_fprog program = { length, code };
    if (at + 1 >= count || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return 1;
    execvp(arguments[at + 1], arguments + at + 1);
    return 1;
}
