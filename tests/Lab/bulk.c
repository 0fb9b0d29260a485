/* Bulk through the socket device of a machine guest, with a checksum at both ends.
   bulk listen PORT            in the guest: says "listening", takes what the host sends, answers with what it was
   bulk dial PORT BYTES        in the guest: sends to a port of the host, prints what it was and the host's answer
   bulk connect PATH PORT BYTES, bulk serve PATH
                               the same from the host, through the Unix socket at PATH
   What is sent is random numbers of a fixed sequence, so that nothing can be lost, repeated or out of order unseen. */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

enum { WORDS = 32 << 10 };

static uint64_t buffer[WORDS];

static uint64_t mix(uint64_t sum, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum = (sum ^ words[i]) * 0x100000001b3;
    return sum;
}

static void send_all(int to, const void *from, size_t size)
{
    for (const char *at = from; size > 0;) {
        ssize_t sent = write(to, at, size);
        if (sent < 0)
            err(1, "write");
        at += sent;
        size -= (size_t)sent;
    }
}

/* Sends so much and the end of it; prints what it was, and what the other end says that it got. */
static void send_bulk(int to, uint64_t bytes)
{
    char answer[100] = "";
    uint64_t next = 88172645463325252, sum = 0, left = bytes / 8;
    while (left > 0) {
        size_t count = left < WORDS ? left : WORDS;
        for (size_t i = 0; i < count; i++) {
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            buffer[i] = next;
        }
        sum = mix(sum, buffer, count);
        send_all(to, buffer, count * 8);
        left -= count;
    }
    if (shutdown(to, SHUT_WR) < 0)
        err(1, "shutdown");
    for (size_t got = 0; got < sizeof answer - 1;) {
        ssize_t more = read(to, answer + got, sizeof answer - 1 - got);
        if (more < 0)
            err(1, "answer");
        if (more == 0)
            break;
        got += (size_t)more;
    }
    printf("sent %llu %016llx\n%s", (unsigned long long)bytes, (unsigned long long)sum, answer);
}

/* Takes all that comes, and answers with what it was. */
static void take_bulk(int from)
{
    char answer[100];
    uint64_t bytes = 0, sum = 0;
    size_t have = 0;
    for (;;) {
        ssize_t more = read(from, (char *)buffer + have, sizeof buffer - have);
        if (more < 0)
            err(1, "read");
        if (more == 0)
            break;
        bytes += (uint64_t)more;
        have += (size_t)more;
        sum = mix(sum, buffer, have / 8);
        memmove(buffer, buffer + have / 8, have % 8);
        have %= 8;
    }
    send_all(from, answer, (size_t)sprintf(answer, "got %llu %016llx\n", (unsigned long long)bytes, (unsigned long long)sum));
}

static int accept_one(int listener, const struct sockaddr *at, socklen_t size)
{
    if (listener < 0 || bind(listener, at, size) < 0 || listen(listener, 1) < 0)
        err(1, "listen");
    puts("listening");
    fflush(stdout);
    int connection = accept(listener, NULL, NULL);
    if (connection < 0)
        err(1, "accept");
    return connection;
}

/* Asks for a port of the guest, as of Firecracker: one line each way. */
static void ask(int to, const char *port)
{
    char line[32], got = 0;
    send_all(to, line, (size_t)snprintf(line, sizeof line, "CONNECT %s\n", port));
    size_t length = 0;
    while (got != '\n' && length < sizeof line - 1) {
        if (read(to, &got, 1) != 1)
            errx(1, "nobody answers at port %s", port);
        line[length++] = got;
    }
    line[length] = 0;
    if (strncmp(line, "OK ", 3) != 0)
        errx(1, "port %s: %s", port, line);
}

int main(int argc, char **argv)
{
    struct sockaddr_vm guest = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
    struct sockaddr_un host = { .sun_family = AF_UNIX };
    if (argc < 3)
        errx(2, "see bulk.c");
    guest.svm_port = (unsigned)atoi(argv[2]);
    strncpy(host.sun_path, argv[2], sizeof host.sun_path - 1);
    if (strcmp(argv[1], "listen") == 0) {
        take_bulk(accept_one(socket(AF_VSOCK, SOCK_STREAM, 0), (struct sockaddr *)&guest, sizeof guest));
    } else if (strcmp(argv[1], "serve") == 0) {
        take_bulk(accept_one(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&host, sizeof host));
    } else if (strcmp(argv[1], "dial") == 0 && argc == 4) {
        int to = socket(AF_VSOCK, SOCK_STREAM, 0);
        guest.svm_cid = VMADDR_CID_HOST;
        if (connect(to, (struct sockaddr *)&guest, sizeof guest) < 0)
            err(1, "port %s", argv[2]);
        send_bulk(to, strtoull(argv[3], NULL, 10));
    } else if (strcmp(argv[1], "connect") == 0 && argc == 5) {
        int to = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(to, (struct sockaddr *)&host, sizeof host) < 0)
            err(1, "%s", argv[2]);
        ask(to, argv[3]);
        send_bulk(to, strtoull(argv[4], NULL, 10));
    } else {
        errx(2, "see bulk.c");
    }
    return 0;
}
