using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Calls that exist on Linux and that no guest may use: answered as for a process without the privilege.
static partial class InformationCalls
{
    private static void RegisterRefusals(SystemCallTable table)
    {
        table.Add(SYS_syslog, "syslog", static (t, in a) => -EPERM, "int ptr int");
        table.Add(SYS_sethostname, "sethostname", static (t, in a) => -EPERM, "ptr size");
        table.Add(SYS_setdomainname, "setdomainname", static (t, in a) => -EPERM, "ptr size");
        table.Add(SYS_reboot, "reboot", static (t, in a) => -EPERM, "hex hex hex ptr");
        table.Add(SYS_ptrace, "ptrace", static (t, in a) => -EPERM, "int pid ptr ptr");
        table.Add(SYS_iopl, "iopl", static (t, in a) => a.A0 > 3 ? -EINVAL : -EPERM, "uint");
        table.Add(SYS_ioperm, "ioperm", static (t, in a) => -EPERM, "hex hex int");
        table.Add(SYS_modify_ldt, "modify_ldt", static (t, in a) => -ENOSYS, "int ptr size");
        table.Add(SYS_acct, "acct", static (t, in a) => -EPERM, "ptr");
        table.Add(SYS_init_module, "init_module", static (t, in a) => -EPERM, "ptr size ptr");
        table.Add(SYS_finit_module, "finit_module", static (t, in a) => -EPERM, "fd ptr hex");
        table.Add(SYS_delete_module, "delete_module", static (t, in a) => -EPERM, "ptr hex");
        table.Add(SYS_kexec_load, "kexec_load", static (t, in a) => -EPERM, "ptr size ptr hex");
        table.Add(SYS_bpf, "bpf", static (t, in a) => -EPERM, "int ptr size");
        table.Add(SYS_perf_event_open, "perf_event_open", static (t, in a) => -EPERM, "ptr pid int fd hex");
        table.Add(SYS_userfaultfd, "userfaultfd", static (t, in a) => -EPERM, "hex");
        table.Add(SYS_quotactl, "quotactl", static (t, in a) => -EPERM, "hex ptr int ptr");
        table.Add(SYS_vhangup, "vhangup", static (t, in a) => -EPERM, "");
        table.Add(SYS_process_vm_readv, "process_vm_readv", static (t, in a) => -EPERM, "pid ptr size ptr size hex");
        table.Add(SYS_process_vm_writev, "process_vm_writev", static (t, in a) => -EPERM, "pid ptr size ptr size hex");
        table.Add(SYS_seccomp, "seccomp", static (t, in a) => -EINVAL, "uint hex ptr");
        table.Add(SYS_io_uring_setup, "io_uring_setup", static (t, in a) => -ENOSYS, "uint ptr");
        table.Add(SYS_io_uring_enter, "io_uring_enter", static (t, in a) => -ENOSYS, "fd uint uint hex ptr size");
        table.Add(SYS_io_uring_register, "io_uring_register", static (t, in a) => -ENOSYS, "fd uint ptr uint");
        table.Add(SYS_get_mempolicy, "get_mempolicy", GetMempolicy, "ptr ptr size ptr hex");
        table.Add(SYS_set_mempolicy, "set_mempolicy", SetMempolicy, "int ptr size");
        table.Add(SYS_mbind, "mbind", static (t, in a) => 0, "ptr size int ptr size hex");
    }

    /// <summary>One memory node: the default policy is the only one.</summary>
    private static long GetMempolicy(GuestThread thread, in SystemCallArguments a)
    {
        if (a.A4 != 0)
            return -EINVAL;
        if (a.A0 != 0 && !thread.Memory.TryWrite(new VirtualAddress(a.A0), 0))
            return -EFAULT;
        return a.A1 == 0 || a.A2 == 0 || thread.Memory.TryWrite(new VirtualAddress(a.A1), 0UL) ? 0 : -EFAULT;
    }

    private static long SetMempolicy(GuestThread thread, in SystemCallArguments a)
    {
        const int lastMode = 6, modeFlags = 0xe000;
        return (uint)(a.Int0 & ~modeFlags) > lastMode ? -EINVAL : 0;
    }
}
