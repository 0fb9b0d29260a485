/*
 * What the guest programs share: named checks whose results are the program's output.
 *
 * A program's output must not depend on where or when it runs: no process numbers, times or addresses. The tests
 * compare it byte for byte with the output of the same program run natively.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures;

/* Unbuffered, so that fork never duplicates output and a killed program has said what it did. */
__attribute__((format(printf, 1, 2), unused)) static void say(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    for (int done = 0; done < length;) {
        ssize_t written = write(1, line + done, (size_t)(length - done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            _exit(99);
        done += (int)written;
    }
}

__attribute__((unused)) static void report(int holds, const char *name, const char *expression, int line)
{
    int error = errno;
    if (holds) {
        say("ok %s", name);
    } else {
        failures++;
        say("FAILED %s: line %d: %s (errno %d)", name, line, expression, error);
    }
}

__attribute__((unused)) static void report_errno(long result, int error, int expected, const char *name, int line)
{
    if (result == -1 && error == expected) {
        say("ok %s", name);
    } else {
        failures++;
        say("FAILED %s: line %d: returned %ld, errno %d, expected errno %d", name, line, result, error, expected);
    }
}

/* The named condition holds. */
#define CHECK(name, condition) report(!!(condition), name, #condition, __LINE__)

/* The call fails with exactly this errno. */
#define CHECK_ERRNO(name, call, expected)                             \
    do {                                                              \
        errno = 0;                                                    \
        long result_ = (long)(call);                                  \
        report_errno(result_, errno, expected, name, __LINE__);       \
    } while (0)

/* What the rest of the program stands on; without it there is nothing left to check. */
#define NEED(condition)                                                                   \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            say("FAILED need: line %d: %s (errno %d)", __LINE__, #condition, errno);      \
            _exit(98);                                                                    \
        }                                                                                 \
    } while (0)

__attribute__((unused)) static int finish(void)
{
    if (failures)
        say("failures: %d", failures);
    else
        say("done");
    return failures ? 1 : 0;
}

#endif
