/* vsock PORT: connects to a port of the host, sends what stdin has, and prints what comes back. Or its error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static int copy(int from, int to)
{
    static char buffer[65536];
    ssize_t count;
    while ((count = read(from, buffer, sizeof buffer)) > 0)
        for (ssize_t done = 0; done < count;) {
            ssize_t written = write(to, buffer + done, count - done);
            if (written < 0)
                return -1;
            done += written;
        }
    return count;
}

int main(int argc, char **argv)
{
    struct sockaddr_vm host = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = strtoul(argc > 1 ? argv[1] : "0", NULL, 10),
    };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&host, sizeof host) || copy(0, fd) || shutdown(fd, SHUT_WR) || copy(fd, 1)) {
        puts(strerror(errno));
        return 1;
    }
    return 0;
}
