/* Unix sockets: pairs of each type, messages with descriptors and credentials, and names. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

static ssize_t send_with(int socket, const char *text, int descriptor)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = { { 0 } };
    struct iovec part = { (void *)(size_t)text, strlen(text) };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
        .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message, 0);
}

static int receive_descriptor(int socket, char *text, size_t size, int flags)
{
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr aligned;
    } control = { { 0 } };
    struct iovec part = { text, size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
        .msg_controllen = sizeof control };
    int descriptor = -1;
    if (recvmsg(socket, &message, flags) < 0)
        return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
}

static void streams(void)
{
    int pair[2];
    char text[64] = "";
    NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    CHECK("both ways", write(pair[0], "ping", 4) == 4 && read(pair[1], text, 64) == 4 && write(pair[1], "pong!", 5) == 5
        && read(pair[0], text, 64) == 5 && !memcmp(text, "pong!", 5));
    CHECK("stream joins writes", write(pair[0], "ab", 2) == 2 && write(pair[0], "cd", 2) == 2
        && read(pair[1], text, 64) == 4);
    CHECK("MSG_PEEK", send(pair[0], "peek", 4, 0) == 4 && recv(pair[1], text, 2, MSG_PEEK) == 2
        && recv(pair[1], text, 64, 0) == 4);
    CHECK_ERRNO("MSG_DONTWAIT", recv(pair[1], text, 1, MSG_DONTWAIT), EAGAIN);
    int waiting = 0;
    NEED(write(pair[0], "123", 3) == 3);
    CHECK("FIONREAD", !ioctl(pair[1], FIONREAD, &waiting) && waiting == 3);
    CHECK("MSG_WAITALL", write(pair[0], "45", 2) == 2 && recv(pair[1], text, 5, MSG_WAITALL) == 5);
    struct stat status;
    CHECK("fstat", !fstat(pair[0], &status) && S_ISSOCK(status.st_mode));
    int type = 0;
    socklen_t length = sizeof type;
    CHECK("SO_TYPE", !getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &type, &length) && type == SOCK_STREAM);
    struct ucred peer;
    length = sizeof peer;
    CHECK("SO_PEERCRED", !getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &length) && peer.pid == getpid()
        && peer.uid == getuid());
    shutdown(pair[0], SHUT_WR);
    CHECK("shutdown: end of file there", read(pair[1], text, 64) == 0);
    CHECK("the other way still works", write(pair[1], "x", 1) == 1 && read(pair[0], text, 64) == 1);
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO("write after shutdown", write(pair[0], "x", 1), EPIPE);
    close(pair[1]);
    CHECK_ERRNO("no peer", send(pair[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    struct pollfd one = { pair[0], POLLIN | POLLOUT, 0 };
    CHECK("hang-up", poll(&one, 1, 0) == 1 && (one.revents & POLLHUP));
    close(pair[0]);
}

static void datagrams(void)
{
    int pair[2];
    char text[64] = "";
    NEED(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    CHECK("boundaries are kept", send(pair[0], "one", 3, 0) == 3 && send(pair[0], "three", 5, 0) == 5
        && recv(pair[1], text, 64, 0) == 3 && recv(pair[1], text, 2, 0) == 2);
    CHECK("the rest is cut off", recv(pair[1], text, 64, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    CHECK("MSG_TRUNC", send(pair[0], "longer", 6, 0) == 6 && recv(pair[1], text, 2, MSG_TRUNC) == 6);
    CHECK("read of nothing", send(pair[0], "stays", 5, 0) == 5 && read(pair[1], text, 0) == 0
        && recv(pair[1], text, 64, MSG_DONTWAIT) == 5 && read(pair[1], text, 0) == 0);
    close(pair[0]);
    close(pair[1]);
    NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    struct sockaddr_un nobody = { .sun_family = AF_UNIX, .sun_path = "/nobody" };
    CHECK("seqpacket to an address", sendto(pair[0], "peer", 4, 0, (struct sockaddr *)&nobody, sizeof nobody) == 4
        && recv(pair[1], text, 64, 0) == 4);
    CHECK("seqpacket", send(pair[0], "one", 3, 0) == 3 && send(pair[0], "two!", 4, 0) == 4
        && recv(pair[1], text, 64, 0) == 3 && recv(pair[1], text, 64, 0) == 4);
    close(pair[0]);
    CHECK("its end", recv(pair[1], text, 64, 0) == 0);
    close(pair[1]);
}

static void descriptors(void)
{
    int pair[2], ends[2];
    char text[64] = "";
    NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !pipe(ends));
    CHECK("send a descriptor", send_with(pair[0], "take", ends[1]) == 4);
    close(ends[1]);
    pid_t child = fork();
    if (!child) {
        int got = receive_descriptor(pair[1], text, sizeof text, 0);
        _exit(got < 0 || write(got, "from the child", 14) != 14);
    }
    int status = -1;
    CHECK("a child takes it", waitpid(child, &status, 0) == child && status == 0);
    CHECK("and writes through it", read(ends[0], text, sizeof text) == 14);
    CHECK("it is closed everywhere now", read(ends[0], text, sizeof text) == 0);
    int file = open("/dev/null", O_RDWR);
    NEED(send_with(pair[0], "x", file) == 1);
    int got = receive_descriptor(pair[1], text, sizeof text, MSG_CMSG_CLOEXEC);
    CHECK("MSG_CMSG_CLOEXEC", got >= 0 && fcntl(got, F_GETFD) == FD_CLOEXEC && got != file);
    CHECK_ERRNO("a bad descriptor", send_with(pair[0], "x", 900), EBADF);
    NEED(send_with(pair[0], "lost", ends[0]) == 4);
    close(ends[0]);
    close(pair[0]);
    close(pair[1]);

    NEED(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    int on = 1;
    NEED(!setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) && send(pair[0], "id", 2, 0) == 2);
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr aligned;
    } control;
    struct iovec part = { text, sizeof text };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
        .msg_controllen = sizeof control };
    struct ucred identity = { 0, 0, 0 };
    NEED(recvmsg(pair[1], &message, 0) == 2);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_CREDENTIALS)
        memcpy(&identity, CMSG_DATA(header), sizeof identity);
    CHECK("credentials", identity.pid == getpid() && identity.uid == getuid() && identity.gid == getgid());
    close(pair[0]);
    close(pair[1]);
}

static void named(void)
{
    char text[64] = "";
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "server.socket" };
    unlink(address.sun_path);
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO("nobody there", connect(client, (struct sockaddr *)&address, sizeof address), ENOENT);
    CHECK("bind and listen", !bind(server, (struct sockaddr *)&address, sizeof address) && !listen(server, 5));
    struct stat status;
    CHECK("its name is a socket", !stat(address.sun_path, &status) && S_ISSOCK(status.st_mode));
    CHECK_ERRNO("name in use", bind(client, (struct sockaddr *)&address, sizeof address), EADDRINUSE);
    CHECK("connect", !connect(client, (struct sockaddr *)&address, sizeof address));
    struct pollfd one = { server, POLLIN, 0 };
    CHECK("pending connection polls", poll(&one, 1, 0) == 1);
    int accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    CHECK("accept", accepted >= 0 && write(client, "hello", 5) == 5 && read(accepted, text, 64) == 5);
    struct sockaddr_un name;
    socklen_t length = sizeof name;
    CHECK("getpeername", !getpeername(client, (struct sockaddr *)&name, &length)
        && !strcmp(name.sun_path, "server.socket"));
    close(server);
    close(client);
    CHECK("end of file", read(accepted, text, 64) == 0);
    close(accepted);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO("stale name", connect(client, (struct sockaddr *)&address, sizeof address), ECONNREFUSED);
    unlink(address.sun_path);
    struct sockaddr_un hidden = { .sun_family = AF_UNIX, .sun_path = "\0guest-test-abstract" };
    socklen_t hidden_length = offsetof(struct sockaddr_un, sun_path) + 20;
    server = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK("abstract name", !bind(server, (struct sockaddr *)&hidden, hidden_length) && !listen(server, 1)
        && !connect(client, (struct sockaddr *)&hidden, hidden_length));
    close(client);
    close(server);
}

/* shutdown(2) of a socket that waits for others, and of one without a peer. */
static void shut(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0guest-test-shut" };
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 16;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    NEED(!bind(server, (struct sockaddr *)&address, length) && !listen(server, 1));
    pid_t child = fork();
    if (!child)
        _exit(accept(server, NULL, NULL) != -1 || errno != EINVAL);
    usleep(50000);
    CHECK("shutdown of what listens", !shutdown(server, SHUT_RD));
    int status = -1;
    CHECK("accept ends", waitpid(child, &status, 0) == child && status == 0);
    CHECK_ERRNO("it takes nobody", connect(client, (struct sockaddr *)&address, length), ECONNREFUSED);
    struct pollfd both[] = { { server, POLLIN | POLLOUT, 0 }, { client, POLLIN | POLLOUT, 0 } };
    CHECK("shutdown without a peer", !shutdown(client, SHUT_RDWR) && poll(both, 2, 0) > 0);
    say("poll: %x %x", both[0].revents, both[1].revents);
    close(server);
    close(client);
}

static int alarms;

static void on_alarm(int signal)
{
    (void)signal;
    alarms++;
}

/* A call with a timeout is not made again, whatever the handler's flags say. */
static void interrupted(void)
{
    int pair[2], server = socket(AF_UNIX, SOCK_STREAM, 0);
    char text[8];
    struct timeval timeout = { 20, 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0guest-test-interrupted" };
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 23;
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct itimerval often = { { 0, 50000 }, { 0, 50000 } }, never = { { 0, 0 }, { 0, 0 } };
    NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !sigaction(SIGALRM, &action, NULL));
    NEED(!bind(server, (struct sockaddr *)&address, length) && !listen(server, 1));
    NEED(!setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
    NEED(!setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
    pid_t child = fork();
    if (!child) {
        int failed = write(pair[1], "x", 1) != 1;
        usleep(2000000);
        _exit(failed || write(pair[1], "y", 1) != 1);
    }
    NEED(read(pair[0], text, 1) == 1 && !setitimer(ITIMER_REAL, &often, NULL));
    CHECK_ERRNO("recv with a timeout", recv(pair[0], text, 1, 0), EINTR);
    CHECK_ERRNO("read with a timeout", read(pair[0], text, 1), EINTR);
    CHECK_ERRNO("accept with a timeout", accept(server, NULL, NULL), EINTR);
    timeout.tv_sec = 0;
    NEED(!setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
    CHECK("recv without one", recv(pair[0], text, 1, 0) == 1 && alarms >= 3);
    NEED(!setitimer(ITIMER_REAL, &never, NULL));
    int status = -1;
    CHECK("sender", waitpid(child, &status, 0) == child && status == 0);
    close(pair[0]);
    close(pair[1]);
    close(server);
}

int main(void)
{
    streams();
    datagrams();
    descriptors();
    named();
    shut();
    interrupted();
    CHECK_ERRNO("unknown family", socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO("unknown type", socket(AF_UNIX, 77, 0), EINVAL);
    CHECK_ERRNO("not a socket", send(open("/dev/null", O_RDWR), "x", 1, 0), ENOTSOCK);
    return finish();
}
