using Sandbox.Policy.Contract;
using static Sandbox.Filters.Condition;
using static Sandbox.Filters.Rule;
using static Sandbox.Host.KvmAbi;
using static Sandbox.Host.Libc;

namespace Sandbox.Filters;

// What running a guest and speaking with the supervisor and the caller's streams takes.
static partial class RuleTable
{
    /// <summary>As KvmCpu sends it to a thread inside KVM_RUN.</summary>
    private const int VcpuSignal = 35;

    private static readonly Rule[] s_speech =
    [
        Allow(Every, SYS_sendto, "a stopped call is named to the supervisor",
        [
            Int(0, StartDescriptors.Channel), Long(2, ChannelMessage.Size), Int(3, MSG_NOSIGNAL | MSG_DONTWAIT), Null(4),
        ]),
        Allow(Main | Personality, SYS_sendto, "started, stopped, counted, ended; records of decisions",
            [Int(3, MSG_NOSIGNAL, MSG_NOSIGNAL | MSG_DONTWAIT), Null(4)]),
        Allow(Channel, SYS_recvmsg, "signals, window sizes, questions",
            [Int(0, StartDescriptors.Channel), Int(2, MSG_CMSG_CLOEXEC)]),
    ];

    private static readonly Rule[] s_kvm =
    [
        Allow(Guest, SYS_ioctl, "a vCPU runs", [Int(1, KVM_RUN), Long(2, 0)]),
        Allow(Guest, SYS_ioctl, "a vCPU's state",
        [
            Int(1, KVM_GET_SREGS, KVM_SET_SREGS, KVM_GET_XSAVE, KVM_SET_XSAVE, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
                KVM_SET_MSRS, KVM_SET_XCRS),
        ]),
        Allow(Guest, SYS_ioctl, "a new vCPU",
            [Int(1, KVM_CREATE_VCPU, KVM_SET_CPUID2, KVM_SET_SIGNAL_MASK, KVM_SET_DEVICE_ATTR)]),
        Allow(Guest, SYS_ioctl, "the guest's memory grows; translations are forgotten",
            [Int(1, KVM_SET_USER_MEMORY_REGION)]),
        Allow(Guest, SYS_rt_sigtimedwait, "the signal that called a vCPU out is taken away"),
        Allow(Guest, SYS_process_vm_readv, "host files that are mapped into the guest, without a SIGBUS",
            [Self(0), Long(5, 0)]),
        Allow(Guest, SYS_getrandom, "random bytes for the guest", [Int(2, 0)]),
        Allow(None, SYS_clock_getres, "resolutions of clocks, asked once"),
    ];

    private static readonly Rule[] s_streams =
    [
        Allow(Main | Personality, SYS_write, "a stream of the caller's, the trace"),
        Allow(Main | Channel, SYS_pwritev2, "the record of what was counted", [Long(3, 0), Int(5, 0)]),
        Allow(Guest | Streams, SYS_preadv2, "a stream that may block", [Int(5, RWF_NOWAIT)]),
        Allow(Main | Personality, SYS_pwritev2, "a stream that may block", [Int(5, RWF_NOWAIT)]),
        Allow(Guest | Streams, SYS_recvfrom, "a stream that is a socket", [Int(3, MSG_DONTWAIT), Null(4)]),
        Allow(Main | Personality, SYS_sendto, "a stream that is a socket",
            [Int(3, MSG_DONTWAIT | MSG_NOSIGNAL), Null(4)]),
        Allow(Main | Personality, SYS_poll, "whether a stream is ready", [Long(1, 1), Int(2, 0)]),
        Allow(Main | Channel | Guest | Streams, SYS_poll, "the trace's reader is waited for",
            [Long(1, 1), Int(2, uint.MaxValue)]),
        Allow(Main | Personality, SYS_epoll_ctl, "a stream that will be waited for", [Int(1, EPOLL_CTL_MOD)]),
        Allow(None, SYS_epoll_ctl, "a stream is made", [Int(1, EPOLL_CTL_ADD)]),
        Allow(None, SYS_epoll_create1, "a stream is made", [Int(0, EPOLL_CLOEXEC)]),
        Allow(None, SYS_eventfd2, "streams are waited for", [Int(0, 0), Int(1, EFD_CLOEXEC | EFD_NONBLOCK)]),
        Allow(Streams, SYS_epoll_wait, "streams are waited for"),
        Allow(Guest, SYS_ioctl, "how much waits in a stream", [Int(1, FIONREAD)]),
        Allow(None, SYS_fcntl, "how a stream was opened", [Int(1, F_GETFL)]),
    ];
}
