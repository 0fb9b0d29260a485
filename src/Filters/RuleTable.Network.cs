using System.Runtime.CompilerServices;
using Sandbox.Vmm;
using static Sandbox.Filters.Condition;
using static Sandbox.Filters.Rule;
using static Sandbox.Host.Libc;

namespace Sandbox.Filters;

// What a guest's sockets take. They come from the supervisor, connected or bound: no call here makes one, connects or binds
// one, or names an address that something is sent to.
static partial class RuleTable
{
    private static readonly Rule[] s_network =
    [
        Network(Main | Personality, SYS_sendto, "questions to the broker", [Int(3, MSG_NOSIGNAL), Null(4)]),
        Network(Streams, SYS_recvmsg, "answers of the broker, with sockets", [Int(2, MSG_CMSG_CLOEXEC)]),
        Network(Guest, SYS_sendto, "a socket sends to whom it is connected",
            [Int(3, MSG_DONTWAIT | MSG_NOSIGNAL, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE), Null(4)]),
        Network(Guest, SYS_recvfrom, "a socket receives", [Only(3, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC)]),
        Network(Guest, SYS_accept4, "a socket that listens", [Int(3, SOCK_CLOEXEC | SOCK_NONBLOCK)]),
        Network(Errands, SYS_getsockname, "where a socket is bound"),
        Network(Errands, SYS_shutdown, "shutdown(2) of the guest"),
        Network(Errands, SYS_getsockopt, "what became of a connection; options of sockets",
            [Int(1, SOL_SOCKET, SOL_TCP)]),
        Network(Errands, SYS_setsockopt, "options of sockets",
            [Int(1, SOL_SOCKET), Int(2, SO_KEEPALIVE, SO_SNDBUF, SO_RCVBUF)]),
        Network(Errands, SYS_setsockopt, "options of connections",
        [
            Int(1, SOL_TCP),
            Int(2, TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT, TCP_QUICKACK),
        ]),
        Network(Guest, SYS_ioctl, "how much of what was sent has not arrived", [Int(1, SIOCOUTQ)]),
        Network(Guest, SYS_epoll_ctl, "sockets come and go", [Int(1, EPOLL_CTL_ADD, EPOLL_CTL_DEL)]),
    ];

    private static Rule Network(
        ThreadRole roles, int number, string reason, Condition[]? conditions = null,
        [CallerArgumentExpression(nameof(number))] string name = "") =>
        Allow(roles, number, reason, conditions, name) with { Needs = GuestNeeds.Network };
}
