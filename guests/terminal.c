/* What a program finds out about its streams: which are terminals, and what a terminal answers. */
#include "check.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

int main(void)
{
    for (int i = 0; i < 3; i++)
        say("stream %d: %s", i, isatty(i) ? "terminal" : "no terminal");
    struct winsize size;
    struct termios settings, original;
    if (!isatty(0)) {
        CHECK_ERRNO("tcgetattr", tcgetattr(0, &settings), ENOTTY);
        CHECK_ERRNO("window size", ioctl(0, TIOCGWINSZ, &size), ENOTTY);
        CHECK_ERRNO("tcgetpgrp", tcgetpgrp(0), ENOTTY);
        return finish();
    }
    CHECK("window size", !ioctl(0, TIOCGWINSZ, &size));
    say("%d rows, %d columns", size.ws_row, size.ws_col);
    CHECK("tcgetattr", !tcgetattr(0, &settings));
    original = settings;
    CHECK("canonical, with echo and signals", (settings.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG));
    CHECK("own group in the foreground", tcgetpgrp(0) == getpgrp());
    CHECK("own session", tcgetsid(0) == getsid(0));
    int terminal = open("/dev/tty", O_RDWR);
    CHECK("/dev/tty", terminal >= 0 && isatty(terminal));
    settings.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    CHECK("raw", !tcsetattr(0, TCSANOW, &settings));
    say("press");
    char byte = 0;
    CHECK("one byte without a newline", read(0, &byte, 1) == 1 && byte == 'k');
    settings.c_lflag |= ICANON;
    CHECK("canonical, no echo", !tcsetattr(0, TCSADRAIN, &settings));
    say("line");
    char line[64] = "";
    CHECK("a line with an erased character", read(0, line, sizeof line) == 4 && !memcmp(line, "abc\n", 4));
    say("end");
    CHECK("Ctrl-D is end of file", read(0, line, sizeof line) == 0);
    CHECK("restored", !tcsetattr(0, TCSADRAIN, &original) && !tcgetattr(0, &settings)
        && settings.c_lflag == original.c_lflag);
    return finish();
}
