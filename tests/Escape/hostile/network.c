#include "hostile.h"
#include <arpa/inet.h>
#include <linux/if_alg.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static int connect_to(int family, int kind, const void *address, socklen_t length)
{
    int local = socket(family, kind, 0);
    if (local < 0)
        return errno;
    if (connect(local, address, length))
        return errno;
    return error_of(send(local, "x", 1, MSG_NOSIGNAL));
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int loopback_tcp(void)
{
    struct sockaddr_in address = loopback(number("port"));
    return connect_to(AF_INET, SOCK_STREAM, &address, sizeof address);
}

static int loopback_udp(void)
{
    struct sockaddr_in address = loopback(number("port"));
    return connect_to(AF_INET, SOCK_DGRAM, &address, sizeof address);
}

static int listen_tcp(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int local = socket(AF_INET, SOCK_STREAM, 0);
    return local < 0 ? errno : error_of(bind(local, (struct sockaddr *)&address, sizeof address));
}

static int abstract_socket(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *name = setting("abstract");
    strncpy(address.sun_path + 1, name, sizeof address.sun_path - 2);
    return connect_to(AF_UNIX, SOCK_STREAM, &address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static int raw_socket(void)
{
    return error_of(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int packet_socket(void)
{
    return error_of(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
}

static int netlink_socket(void)
{
    return error_of(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
}

// As the interface is already, on a host where this is let through.
static int set_interface(void)
{
    int local = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "lo" };
    if (local < 0 || ioctl(local, SIOCGIFFLAGS, &request))
        return errno;
    return error_of(ioctl(local, SIOCSIFFLAGS, &request));
}

static int vsock_socket(void)
{
    return error_of(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int crypto_socket(void)
{
    struct sockaddr_alg address = { .salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256" };
    int local = socket(AF_ALG, SOCK_SEQPACKET, 0);
    return local < 0 ? errno : error_of(bind(local, (struct sockaddr *)&address, sizeof address));
}

const struct attempt network_attempts[] = {
    { "reach a loopback service by TCP", loopback_tcp },
    { "reach a loopback service by UDP", loopback_udp },
    { "listen on TCP", listen_tcp },
    { "connect to an abstract socket", abstract_socket },
    { "raw socket", raw_socket },
    { "packet socket", packet_socket },
    { "netlink socket", netlink_socket },
    { "set an interface", set_interface },
    { "vsock socket", vsock_socket },
    { "kernel crypto socket", crypto_socket },
    { 0 },
};
