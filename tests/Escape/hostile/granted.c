#include "hostile.h"
#include <sys/stat.h>

// What the plan's descriptors lead to. The folder of the test is mounted read-only, its parent holds the secret.
static int granted_folder(void)
{
    for (int i = 0; i < granted_count; i++)
    {
        int file = open_from(granted[i], "in-the-granted-folder", O_PATH, 0);
        if (file >= 0)
            return close(file), granted[i];
    }
    return -1;
}

static int read_beneath(void)
{
    return error_of(open_from(granted_folder(), "in-the-granted-folder", O_RDONLY, 0));
}

static int write_beneath(void)
{
    return error_of(open_from(granted_folder(), "in-the-granted-folder", O_WRONLY, 0));
}

static int read_above(void)
{
    return error_of(open_from(granted_folder(), "../secret", O_RDONLY, 0));
}

static int write_above(void)
{
    return error_of(open_from(granted_folder(), "../made-by-a-hostile-vmm", O_WRONLY | O_CREAT, 0600));
}

static int look_above(void)
{
    struct statx status;
    return error_of(statx(granted_folder(), "../secret", AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &status));
}

static int list_above(void)
{
    int above = open_from(granted_folder(), "../../../../../../../..", O_RDONLY | O_DIRECTORY, 0);
    return above < 0 ? errno : error_of(open_from(above, "etc/passwd", O_RDONLY, 0));
}

static int enter_above(void)
{
    return fchdir(granted_folder()) ? errno : error_of(open_path("../secret", O_RDONLY, 0));
}

static int through_proc(void)
{
    return error_of(open_from(granted_folder(), "../../../../../../../../proc/self/environ", O_RDONLY, 0));
}

static int change_mode_above(void)
{
    return error_of(fchmodat(granted_folder(), "../secret", 0644, 0));
}

static int make_set_user_id(void)
{
    int file = open_from(granted_folder(), "in-the-granted-folder", O_RDONLY, 0);
    if (file < 0)
        return errno;
    int error = error_of(fchmod(file, S_ISUID | 0755));
    if (!error)
        fchmod(file, 0644);
    return error;
}

static int is_granted(int number)
{
    if (number <= KVM)
        return 1;
    for (int i = 0; i < granted_count; i++)
        if (granted[i] == number)
            return 1;
    return 0;
}

// One that nobody meant it to have, as far as any limit lets there be one: whatever it is answers one of these.
static int control_stray(void)
{
    for (int number = 0; number < 1024; number++)
    {
        char answer[256];
        if (fcntl(number, F_GETFD) < 0 || is_granted(number))
            continue;
        ioctl(number, FIONREAD, answer);
        ioctl(number, TIOCGWINSZ, answer);
        return error_of(ioctl(number, FIOCLEX));
    }
    return EBADF;
}

static int write_plan(void)
{
    return error_of(pwrite(granted[0], "x", 1, 0));
}

const struct attempt granted_attempts[] = {
    { "granted: read a file beneath the folder", read_beneath },
    { "granted: write a read-only file beneath it", write_beneath },
    { "granted: look at a name above it", look_above },
    { "granted: read a file above it", read_above },
    { "granted: make a file above it", write_above },
    { "granted: list the host's root", list_above },
    { "granted: enter it and walk up", enter_above },
    { "granted: reach the host's /proc", through_proc },
    { "granted: change a mode above it", change_mode_above },
    { "granted: make a program set-user-ID", make_set_user_id },
    { "granted: change the plan", write_plan },
    { "ioctl on stray descriptors", control_stray },
    { 0 },
};
