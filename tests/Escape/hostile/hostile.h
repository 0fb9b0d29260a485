// A VMM that is hostile from its first instruction: what its files share.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// Descriptors that every VMM is born with, and the messages on the channel: src/Policy/Contract/Channel.cs.
enum { CHANNEL = 3, KVM = 4 };
enum { START = 1, GO = 4, STARTED = 16, ENDED = 17, STOPPED = 18, CONFINED = 19 };

struct message
{
    uint32_t version, kind, cause, detail32;
    int64_t value, detail;
};

// What the test has written into the program; "" for what it has not.
const char *setting(const char *name);
long number(const char *name);

// 0: the host did what it should not; else the error with which it refused.
typedef int attack(void);

struct attempt
{
    const char *name;
    attack *run;
};

extern const struct attempt file_attempts[], process_attempts[], network_attempts[], kernel_attempts[],
    resource_attempts[], granted_attempts[], terminal_attempts[], last_attempts[];

// Of the supervisor, as seen from here; 0 where it is not seen.
extern pid_t supervisor;

// The descriptors that came with Start, the plan first.
extern int granted[256], granted_count;

void try_all(const struct attempt *attempts);
int talk(const char *scenario);
struct message take_start(void);
void say(uint32_t kind, uint32_t cause, int64_t value);

// From now on each attempt is made behind the filters: the supervisor has ordered them.
void order_filters(void);
void wear_filters(void);

// The error of a call; 0 where it worked.
static inline int error_of(long result)
{
    return result >= 0 ? 0 : errno;
}

// openat(2), by the call that the filters leave: they cannot look at its flags.
static inline int open_from(int folder, const char *path, int flags, unsigned mode)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode };
    return syscall(SYS_openat2, folder, path, &how, sizeof how);
}

static inline int open_path(const char *path, int flags, unsigned mode)
{
    return open_from(AT_FDCWD, path, flags, mode);
}

// read(2), by the call that the filters leave.
static inline long read_bytes(int file, void *bytes, size_t length)
{
    struct iovec vector = { .iov_base = bytes, .iov_len = length };
    return preadv2(file, &vector, 1, -1, 0);
}

// As error_of, of a call that is made so that it cannot do harm: this error only comes once permission has been given.
static inline int harmless(long result, int beyond)
{
    int error = error_of(result);
    return error == beyond ? 0 : error;
}
