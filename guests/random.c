/* Randomness: getrandom, the random devices, AT_RANDOM, and that a forked child does not repeat its parent. */
#include "check.h"
#include <fcntl.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/wait.h>

static int plausible(const unsigned char *bytes, size_t length)
{
    int counts[256] = { 0 }, ones = 0;
    for (size_t i = 0; i < length; i++) {
        counts[bytes[i]]++;
        ones += __builtin_popcount(bytes[i]);
    }
    for (int i = 0; i < 256; i++)
        if (counts[i] > (int)length / 32)
            return 0;
    return ones > (int)length * 38 / 10 && ones < (int)length * 42 / 10;
}

static int from_device(const char *path)
{
    unsigned char bytes[8192];
    int file = open(path, O_RDONLY);
    ssize_t got = read(file, bytes, sizeof bytes);
    close(file);
    return got == (ssize_t)sizeof bytes && plausible(bytes, sizeof bytes);
}

int main(void)
{
    unsigned char bytes[8192], more[8192];
    CHECK("getrandom", getrandom(bytes, sizeof bytes, 0) == sizeof bytes && plausible(bytes, sizeof bytes));
    CHECK("another time, other bytes", getrandom(more, sizeof more, GRND_NONBLOCK) == sizeof more
        && memcmp(bytes, more, sizeof more));
    CHECK("nothing", getrandom(bytes, 0, 0) == 0);
    CHECK_ERRNO("bad flags", getrandom(bytes, 1, 0x100), EINVAL);
    CHECK_ERRNO("bad pointer", getrandom((void *)8, 100, 0), EFAULT);
    CHECK("getentropy", !getentropy(bytes, 256));
    CHECK("/dev/urandom", from_device("/dev/urandom"));
    CHECK("/dev/random", from_device("/dev/random"));
    int ends[2];
    NEED(!pipe(ends));
    pid_t child = fork();
    if (!child) {
        ssize_t got = getrandom(bytes, 16, 0);
        _exit(write(ends[1], bytes, (size_t)got) != 16);
    }
    NEED(getrandom(more, 16, 0) == 16 && read(ends[0], bytes, 16) == 16);
    waitpid(child, NULL, 0);
    CHECK("child and parent differ", memcmp(bytes, more, 16) != 0);
    CHECK("AT_RANDOM differs from both", memcmp((void *)getauxval(AT_RANDOM), bytes, 16)
        && memcmp((void *)getauxval(AT_RANDOM), more, 16));
    return finish();
}
