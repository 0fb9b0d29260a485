using static Sandbox.Filters.Condition;
using static Sandbox.Filters.Rule;
using static Sandbox.Host.KvmAbi;
using static Sandbox.Host.Libc;

namespace Sandbox.Filters;

// What a machine guest takes. Its virtual machine, vCPUs and RAM are made before any filter is on.
static partial class RuleTable
{
    private static readonly Rule[] s_machine =
    [
        Allow(Vcpu, SYS_ioctl, "a vCPU of a machine guest runs", [Int(1, KVM_RUN), Long(2, 0)]),
        Allow(Vcpu, SYS_rt_sigtimedwait, "the signal that called a vCPU out is taken away"),
        Allow(Vcpu | Device, SYS_write, "eventfds raise interrupts; the caller's standard output"),
        Allow(Vcpu | Device, SYS_sigaltstack, "a thread's end in the runtime"),
        Allow(Vcpu | Device, SYS_exit, "a thread's end"),
        Allow(Device, SYS_poll, "a stream that would block is waited for", [Long(1, 1), Int(2, uint.MaxValue)]),
        Allow(None, SYS_ioctl, "the state in which a kernel is entered", [Int(1, KVM_SET_REGS)]),
        Allow(None, SYS_ioctl, "the interrupts of devices", [Int(1, KVM_IRQFD)]),
    ];
}
