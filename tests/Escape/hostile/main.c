#include "hostile.h"
#include <sys/wait.h>

// The test writes "name=value" lines behind the first one. Volatile: the compiler must not believe what it sees here.
static volatile char settings[1024] = "SETTINGS OF THE TEST\n";

pid_t supervisor;

const char *setting(const char *name)
{
    static char text[sizeof settings];
    for (size_t i = 0; i < sizeof settings; i++)
        text[i] = settings[i];
    size_t length = strlen(name);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (!strncmp(line, name, length) && line[length] == '=')
            return strdup(line + length + 1);
    return "";
}

long number(const char *name)
{
    return strtol(setting(name), NULL, 0);
}

static void report(const char *name, int status)
{
    if (WIFSIGNALED(status))
        dprintf(STDERR_FILENO, "%s: refused SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 0)
        dprintf(STDERR_FILENO, "%s: SUCCEEDED\n", name);
    else
        dprintf(STDERR_FILENO, "%s: refused %s\n", name, strerrorname_np(WEXITSTATUS(status)));
}

// Each in a process of its own, so that none stands in the next one's way.
void try_all(const struct attempt *attempts)
{
    for (; attempts->name; attempts++)
    {
        pid_t child = fork();
        if (child == 0)
        {
            // None has to wait for anything; the machine may be busy.
            alarm(30);
            wear_filters();
            _exit(attempts->run());
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child)
            status = W_EXITCODE(errno, 0);
        report(attempts->name, status);
    }
}

int main(void)
{
    supervisor = getppid();
    const char *scenario = setting("scenario");
    if (strcmp(scenario, "attempts"))
        return talk(scenario);
    take_start();
    // What its guest took over has started already: the supervisor's patience with its start is not what is tested here.
    say(STARTED, 0, 0);
    try_all(file_attempts);
    try_all(process_attempts);
    try_all(network_attempts);
    try_all(kernel_attempts);
    try_all(resource_attempts);
    if (isatty(STDERR_FILENO))
        try_all(terminal_attempts);
    try_all(granted_attempts);
    try_all(last_attempts);
    say(ENDED, 1, 0);
    return 0;
}
