using Sandbox.Vmm;
using static Sandbox.Filters.Condition;
using static Sandbox.Host.KvmAbi;
using static Sandbox.Host.Libc;

namespace Sandbox.Filters;

// What a machine guest takes. Its virtual machine, vCPUs and RAM are made before any filter is on.
static partial class RuleTable
{
    private static readonly Rule[] s_machine =
    [
        .. ((Rule[])
        [
            Rule.Allow(Vcpu, SYS_ioctl, "a vCPU of a machine guest runs", [Int(1, KVM_RUN), Long(2, 0)]),
            Rule.Allow(Vcpu, SYS_rt_sigtimedwait, "the signal that called a vCPU out is taken away"),
            Rule.Allow(Vcpu | Device, SYS_write, "eventfds raise interrupts; the caller's standard output"),
            Rule.Allow(Device, SYS_exit, "a thread's end"),
            Rule.Allow(Device, SYS_poll, "a stream that would block is waited for", [Long(1, 1), Int(2, uint.MaxValue)]),
            Rule.Allow(Device, SYS_epoll_wait, "notifications of a device's queues"),
            Rule.Allow(Channel | Device, SYS_poll, "an agent that is slow to take what it is told is waited for", [Long(1, 1), Int(2, 1000)]),
            Rule.Allow(None, SYS_socketpair, "the agent's connection",
                [Int(0, AF_UNIX), Int(1, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC), Int(2, 0)]),
            Rule.Allow(Device, SYS_sendto, "bytes of the guest for a socket that had to wait", [Int(3, MSG_DONTWAIT | MSG_NOSIGNAL), Null(4)]),
            Rule.Allow(Device, SYS_recvmsg, "bytes of a socket for the guest", [Int(2, MSG_DONTWAIT)]),
            Rule.Allow(Device, SYS_accept4, "a program of the host wants to reach the guest",
                [Null(1), Null(2), Int(3, SOCK_CLOEXEC | SOCK_NONBLOCK)]),
            Rule.Allow(Device, SYS_recvfrom, "which port it wants", [Int(3, MSG_DONTWAIT, MSG_DONTWAIT | MSG_PEEK), Null(4)]),
            Rule.Allow(Device, SYS_shutdown, "the guest writes no more to a socket", [Int(1, SHUT_WR)]),
            Rule.Allow(Device, SYS_epoll_ctl, "sockets come and go", [Int(1, EPOLL_CTL_ADD)]),
            Rule.Allow(Device, SYS_getrandom, "random bytes for the guest", [Int(2, 0)]),
            Rule.Allow(Device, SYS_io_uring_enter, "requests to a disk are begun; its ring was made before this filter",
                [Int(2, 0), Int(3, 0), Null(4)]),
            Rule.Allow(Vcpu | Device, SYS_io_uring_enter, "those under way are waited for, at a reset",
                [Int(1, 0), Int(2, 1), Int(3, IORING_ENTER_GETEVENTS), Null(4)]),
            Rule.Allow(Device, SYS_preadv2, "a disk, a stream of the caller's or a packet is read", [Int(5, 0)]),
            Rule.Allow(Device, SYS_pwritev2, "a disk is written", [Int(5, 0, RWF_DSYNC)]),
            Rule.Allow(Device, SYS_fallocate, "parts of a disk are given back"),
            Rule.Allow(Device, SYS_fdatasync, "a disk is flushed"),
            Rule.Allow(Device, SYS_writev, "packets for a TAP device, bytes for a socket, output of its console"),
            Rule.Allow(Device, SYS_readv, "input for the guest's console"),
            Rule.Allow(Device, SYS_ioctl, "a driver says which packets its guest understands, and from which queues",
                [Int(1, TUNSETOFFLOAD, TUNSETQUEUE)]),
            Rule.Allow(None, SYS_ioctl, "the length of a packet's header on a TAP device", [Int(1, TUNSETVNETHDRSZ)]),
            Rule.Allow(None, SYS_ioctl, "the state in which a kernel is entered", [Int(1, KVM_SET_REGS)]),
            Rule.Allow(None, SYS_ioctl, "interrupts and notifications of devices", [Int(1, KVM_IRQFD, KVM_IOEVENTFD)]),
        ]).Select(rule => rule with { Needs = GuestNeeds.Machine }),
    ];
}
