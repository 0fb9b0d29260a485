namespace Sandbox.Host.Tests.Abi;

/// <summary>Where a name here and a name in C differ, and what cannot be compared. Everything else has one name.</summary>
internal static class AbiNames
{
    /// <summary>The unit and C type of structures that are not "struct name" of the kernel's or KVM's headers.</summary>
    public static readonly Dictionary<string, (string Unit, string Type)> Structs = new()
    {
        ["siginfo_t"] = (Headers.Kernel, "siginfo_t"),
        ["stack_t"] = (Headers.Kernel, "stack_t"),
        ["sigevent"] = (Headers.Kernel, "sigevent_t"),
        ["sigval"] = (Headers.Kernel, "sigval_t"),
        ["kernel_sigaction"] = (Headers.Kernel, "struct sigaction"),
        ["utsname"] = (Headers.Kernel, "struct new_utsname"),
        ["Elf64_Ehdr"] = (Headers.Kernel, "Elf64_Ehdr"),
        ["Elf64_Phdr"] = (Headers.Kernel, "Elf64_Phdr"),
        ["Elf64_Shdr"] = (Headers.Kernel, "Elf64_Shdr"),
        ["Elf64_Dyn"] = (Headers.Kernel, "Elf64_Dyn"),
        ["Elf64_Sym"] = (Headers.Kernel, "Elf64_Sym"),
        ["Elf64_Rela"] = (Headers.Kernel, "Elf64_Rela"),
        ["Elf64_Nhdr"] = (Headers.Kernel, "Elf64_Nhdr"),

        // The kernel keeps these in no user header; the C library passes them through unchanged.
        ["linux_dirent64"] = (Headers.Library, "struct dirent64"),
        ["msghdr"] = (Headers.Library, "struct msghdr"),
        ["mmsghdr"] = (Headers.Library, "struct mmsghdr"),
        ["cmsghdr"] = (Headers.Library, "struct cmsghdr"),
        ["ucred"] = (Headers.Library, "struct ucred"),
        ["linger"] = (Headers.Library, "struct linger"),
        ["passwd"] = (Headers.Library, "struct passwd"),
        ["sockaddr_in"] = (Headers.Library, "struct sockaddr_in"),
        ["sockaddr_in6"] = (Headers.Library, "struct sockaddr_in6"),
        ["pthread_attr_t"] = (Headers.Library, "pthread_attr_t"),
        ["sockaddr_vm"] = (Headers.Library, "struct sockaddr_vm"),

        // In a header that draws in the C library's sockets.
        ["ifreq"] = (Headers.Virtio, "struct ifreq"),

        // libseccomp's.
        ["scmp_arg_cmp"] = (Headers.Library, "struct scmp_arg_cmp"),

        // The C library's own.
        ["sigset_t"] = (Headers.Library, "sigset_t"),
        ["posix_spawn_file_actions_t"] = (Headers.Library, "posix_spawn_file_actions_t"),
        ["posix_spawnattr_t"] = (Headers.Library, "posix_spawnattr_t"),

        // Arms of unions and nested structures, which have no name in C.
        ["kvm_run_s"] = (Headers.Kvm, Member("kvm_run", "s")),
        ["kvm_run_hw"] = (Headers.Kvm, Member("kvm_run", "hw")),
        ["kvm_run_fail_entry"] = (Headers.Kvm, Member("kvm_run", "fail_entry")),
        ["kvm_run_ex"] = (Headers.Kvm, Member("kvm_run", "ex")),
        ["kvm_run_io"] = (Headers.Kvm, Member("kvm_run", "io")),
        ["kvm_run_mmio"] = (Headers.Kvm, Member("kvm_run", "mmio")),
        ["kvm_run_hypercall"] = (Headers.Kvm, Member("kvm_run", "hypercall")),
        ["kvm_run_internal"] = (Headers.Kvm, Member("kvm_run", "internal")),
        ["kvm_run_emulation_failure"] = (Headers.Kvm, Member("kvm_run", "emulation_failure")),
        ["kvm_run_system_event"] = (Headers.Kvm, Member("kvm_run", "system_event")),
        ["kvm_run_eoi"] = (Headers.Kvm, Member("kvm_run", "eoi")),
        ["kvm_run_msr"] = (Headers.Kvm, Member("kvm_run", "msr")),
        ["kvm_run_notify"] = (Headers.Kvm, Member("kvm_run", "notify")),
        ["kvm_irq_routing_u"] = (Headers.Kvm, Member("kvm_irq_routing_entry", "u")),
        ["kvm_vcpu_events_exception"] = (Headers.Kvm, Member("kvm_vcpu_events", "exception")),
        ["kvm_vcpu_events_interrupt"] = (Headers.Kvm, Member("kvm_vcpu_events", "interrupt")),
        ["kvm_vcpu_events_nmi"] = (Headers.Kvm, Member("kvm_vcpu_events", "nmi")),
        ["kvm_vcpu_events_smi"] = (Headers.Kvm, Member("kvm_vcpu_events", "smi")),
        ["kvm_vcpu_events_triple_fault"] = (Headers.Kvm, Member("kvm_vcpu_events", "triple_fault")),
    };

    /// <summary>Structures whose C size includes a variable part, and the member where that part begins.</summary>
    public static readonly Dictionary<string, string> EndsAt = new()
    {
        ["linux_dirent64"] = "d_name",
    };

    /// <summary>
    /// Constants that no header defines in a form that can be compared, with where their values come from.
    /// </summary>
    public static readonly Dictionary<string, string> NotInHeaders = new()
    {
        ["_NSIG"] = "the kernel's own asm/signal.h; the user header has no name for 64, the C library counts from 0",
        ["SIGRTMAX"] = "_NSIG in the kernel's headers, a function call in the C library's",
        ["SCM_PIDFD"] = "the kernel's linux/socket.h, exported to no user header",
    };

    /// <summary>Constants that the C library has otherwise, or not as a number: the kernel's headers count.</summary>
    public static readonly Dictionary<string, string> KernelOnly = new()
    {
        ["EI_PAD"] = "the C library counts EI_ABIVERSION before it",
        ["MINSIGSTKSZ"] = "sysconf() in the C library",
        ["O_LARGEFILE"] = "0 in a 64-bit C library, a real flag of the kernel",
        ["SHT_HIUSER"] = "0x8fffffff in the C library",
        ["SIGRTMIN"] = "a function call in the C library, which keeps two signals for itself",
        ["SIGSTKSZ"] = "sysconf() in the C library",
        ["TCGETS2"] = "made from struct termios2, which the C library lacks",
        ["TCSETS2"] = "made from struct termios2, which the C library lacks",
        ["TCSETSF2"] = "made from struct termios2, which the C library lacks",
        ["TCSETSW2"] = "made from struct termios2, which the C library lacks",
    };

    private static string Member(string type, string field) => $"__typeof__(((struct {type} *)0)->{field})";
}
