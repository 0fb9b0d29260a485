// What a VMM might attack: a process of the same user that offers all that a process can offer. Its first line tells the
// numbers; it ends with its standard input.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char secret[] = "CANARY";

static void need(long result, const char *what)
{
    if (result >= 0)
        return;
    perror(what);
    exit(1);
}

static void listen_at(const char *path, int is_abstract)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path + is_abstract, path, sizeof address.sun_path - 2);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + is_abstract + strlen(path);
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    need(bind(local, (struct sockaddr *)&address, length), path);
    need(listen(local, 64), path);
}

// FOLDER NAME: the socket's folder, and what the abstract socket and the queue are called.
int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    char path[108], queue[108], made[120];
    snprintf(path, sizeof path, "%s/socket", arguments[1]);
    snprintf(queue, sizeof queue, "/%s", arguments[2]);
    snprintf(made, sizeof made, "%s-made", queue);
    listen_at(path, 0);
    listen_at(arguments[2], 1);

    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    need(bind(tcp, (struct sockaddr *)&address, length), "bind");
    need(listen(tcp, 64), "listen");
    need(getsockname(tcp, (struct sockaddr *)&address, &length), "getsockname");
    need(bind(udp, (struct sockaddr *)&address, length), "bind");

    int memory = shmget(IPC_PRIVATE, 4096, 0600);
    need(memory, "shmget");
    // All queues of a user share 800 KiB.
    struct mq_attr small = { .mq_maxmsg = 1, .mq_msgsize = 8 };
    need(mq_open(queue, O_RDWR | O_CREAT, 0600, &small), "mq_open");
    // Attackers that are nobody's parent may trace it too.
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);

    printf("pid=%d address=%p port=%d shm=%d\n", getpid(), (void *)secret, ntohs(address.sin_port), memory);
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    shmctl(memory, IPC_RMID, NULL);
    mq_unlink(queue);
    // The attacker's, where a wall let it make the queue and another kept it from taking it away.
    mq_unlink(made);
    printf("%s\n", secret);
    return 0;
}
