// A caller who has something to lose: runs its arguments with a key in the session's keyring and core dumps allowed.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    if (count < 2)
        return 2;
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = core.rlim_max;
    setrlimit(RLIMIT_CORE, &core);
    if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) < 0
        || syscall(SYS_add_key, "user", "hostile-canary", "CANARY", 6L, -3 /* of the session */) < 0)
        perror("caller: keyring");
    // The program was just copied: a child that another test started in that moment has it open for writing, until it
    // executes its own.
    for (int i = 0; i < 1000; i++) {
        execv(arguments[1], arguments + 1);
        if (errno != ETXTBSY)
            break;
        usleep(1000);
    }
    perror(arguments[1]);
    return 1;
}
