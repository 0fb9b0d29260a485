/* vfork and posix_spawn: the child borrows the parent's memory and the parent waits until it execs or exits. */
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;
static volatile int shared;

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        struct timespec while_ = { 0, 100000000 };
        nanosleep(&while_, NULL);
        return 23;
    }
    int status;
    pid_t child = vfork();
    if (child == 0) {
        shared = 1;
        for (volatile long i = 0; i < 20000000; i++)
            ;
        shared = 2;
        _exit(5);
    }
    CHECK("parent waited and sees the write", child > 0 && shared == 2);
    CHECK("status", waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);

    char *arguments[] = { "vfork", "sleep", NULL };
    child = vfork();
    if (child == 0) {
        execve("/proc/self/exe", arguments, environ);
        _exit(126);
    }
    CHECK("released by exec", child > 0 && waitpid(child, &status, WNOHANG) == 0);
    CHECK("exec status", waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 23);

    child = vfork();
    if (child == 0) {
        execve("/nonexistent", arguments, environ);
        shared = errno;
        _exit(127);
    }
    CHECK("failed exec in the child", shared == ENOENT && waitpid(child, &status, 0) == child
        && WEXITSTATUS(status) == 127);

    int ends[2];
    NEED(!pipe(ends));
    posix_spawn_file_actions_t actions;
    NEED(!posix_spawn_file_actions_init(&actions)
        && !posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        && !posix_spawn_file_actions_addclose(&actions, ends[0])
        && !posix_spawn_file_actions_addclose(&actions, ends[1]));
    char *echo[] = { "echo", "spawned", NULL };
    NEED(!posix_spawn(&child, "/bin/echo", &actions, NULL, echo, environ));
    close(ends[1]);
    char text[32] = "";
    CHECK("output of posix_spawn", read(ends[0], text, sizeof text) == 8 && !memcmp(text, "spawned\n", 8));
    CHECK("its status", waitpid(child, &status, 0) == child && status == 0);
    CHECK("posix_spawn of nothing", posix_spawn(&child, "/nonexistent", NULL, NULL, echo, environ) == ENOENT);
    CHECK("system", system("exit 9") == 9 << 8);
    FILE *stream = popen("echo through popen", "r");
    NEED(stream && fgets(text, sizeof text, stream));
    CHECK("popen", !strcmp(text, "through popen\n") && pclose(stream) == 0);
    return finish();
}
