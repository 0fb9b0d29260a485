#include "hostile.h"
#include <poll.h>
#include <termios.h>

// Standard error is the caller's terminal.
static int push_input(void)
{
    return error_of(ioctl(STDERR_FILENO, TIOCSTI, "x"));
}

static int take_terminal(void)
{
    return error_of(ioctl(STDERR_FILENO, TIOCSCTTY, 0));
}

static int steal_terminal(void)
{
    return error_of(ioctl(STDERR_FILENO, TIOCSCTTY, 1));
}

static int set_foreground(void)
{
    pid_t group = getpgrp();
    return error_of(ioctl(STDERR_FILENO, TIOCSPGRP, &group));
}

// As it is.
static int set_modes(void)
{
    struct termios modes;
    return ioctl(STDERR_FILENO, TCGETS, &modes) ? errno : error_of(ioctl(STDERR_FILENO, TCSETS, &modes));
}

// None of them, so that none has to be waited for.
static int read_keys(void)
{
    char key;
    return error_of(read_bytes(STDERR_FILENO, &key, 0));
}

const struct attempt terminal_attempts[] = {
    { "terminal: push input", push_input },
    { "terminal: make it its own", take_terminal },
    { "terminal: steal it", steal_terminal },
    { "terminal: become the foreground job", set_foreground },
    { "terminal: change its modes", set_modes },
    { "terminal: read the caller's keys", read_keys },
    { 0 },
};
