/* vsock-serve PORT PROGRAM ARGUMENTS...: accepts one connection of the host's and runs a program with it as its streams. */
#include <err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        errx(2, "vsock-serve PORT PROGRAM ARGUMENTS...");
    struct sockaddr_vm at = { .svm_family = AF_VSOCK, .svm_port = (unsigned)atoi(argv[1]), .svm_cid = VMADDR_CID_ANY };
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1) < 0)
        err(1, "port %s", argv[1]);
    if (write(1, "listening\n", 10) < 0)
        err(1, "standard output");
    int connection = accept(listener, NULL, NULL);
    if (connection < 0)
        err(1, "accept");
    dup2(connection, 0);
    dup2(connection, 1);
    close(connection);
    execvp(argv[2], argv + 2);
    err(1, "%s", argv[2]);
}
