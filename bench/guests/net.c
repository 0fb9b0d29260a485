/* net serve PORT: answers connections, one after the other; its first byte says what each one wants.
 * net ADDRESS PORT send|receive|echo: for some seconds, so that an emulator's translating what runs for the first time does
 * not count for much; prints MB/s in that direction, or microseconds for each message of one byte there and back. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 3 };

static char data[256 << 10];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int stream(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on))
        err(1, "socket");
    return fd;
}

static void serve(struct sockaddr_in *address)
{
    int listener = stream();
    if (bind(listener, (struct sockaddr *)address, sizeof *address) || listen(listener, 1))
        err(1, "listen");
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        char wanted;
        if (fd < 0)
            err(1, "accept");
        if (read(fd, &wanted, 1) == 1 && wanted == 'r')
            while (write(fd, data, sizeof data) > 0);
        else if (wanted == 'e')
            while (read(fd, data, 1) == 1 && write(fd, data, 1) == 1);
        else
            while (read(fd, data, sizeof data) > 0);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    if (argc == 3 && strcmp(argv[1], "serve") == 0) {
        address.sin_port = htons(atoi(argv[2]));
        serve(&address);
    }
    if (argc != 4 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
        errx(2, "net serve PORT | net ADDRESS PORT send|receive|echo");
    address.sin_port = htons(atoi(argv[2]));
    int fd = stream();
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        err(1, "connect");
    if (write(fd, argv[3], 1) != 1)
        err(1, "write");
    double begin = now(), bytes = 0;
    while (now() - begin < SECONDS) {
        ssize_t done;
        if (argv[3][0] == 'e')
            done = write(fd, data, 1) == 1 ? read(fd, data, 1) : -1;
        else
            done = argv[3][0] == 'r' ? read(fd, data, sizeof data) : write(fd, data, sizeof data);
        if (done <= 0)
            err(1, "%s", argv[3]);
        bytes += done;
    }
    /* What was sent counts when the other side has it all. */
    if (argv[3][0] == 's' && (shutdown(fd, SHUT_WR) || read(fd, data, 1) != 0))
        err(1, "end");
    double seconds = now() - begin;
    printf("%.3f\n", argv[3][0] == 'e' ? seconds / bytes * 1e6 : bytes / seconds / 1e6);
    return 0;
}
