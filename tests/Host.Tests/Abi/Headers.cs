namespace Sandbox.Host.Tests.Abi;

/// <summary>
/// The translation units that the ABI is compared with. The kernel's headers and the C library's define the same
/// names and cannot be mixed in one.
/// </summary>
internal static class Headers
{
    public const string Kernel = "kernel";
    public const string Library = "library";
    public const string Kvm = "kvm";
    public const string Virtio = "virtio";

    private static readonly string[] s_kernel =
    [
        "linux/types.h", "linux/errno.h", "linux/fcntl.h", "linux/stat.h", "asm/stat.h", "linux/mman.h",
        "linux/fs.h", "linux/mount.h", "linux/falloc.h", "linux/signal.h", "asm/siginfo.h", "asm/sigcontext.h",
        "asm/ucontext.h", "linux/time.h", "linux/time_types.h", "linux/timerfd.h", "linux/eventfd.h",
        "linux/signalfd.h", "linux/eventpoll.h", "linux/poll.h", "linux/futex.h", "linux/sched.h",
        "linux/sched/types.h", "linux/wait.h", "linux/resource.h", "linux/prctl.h", "asm/prctl.h",
        "linux/random.h", "linux/openat2.h", "linux/close_range.h", "linux/memfd.h", "linux/auxvec.h",
        "linux/elf.h", "linux/elf-em.h", "linux/limits.h", "linux/utsname.h", "linux/sysinfo.h",
        "linux/termios.h", "asm/termbits.h", "asm/ioctls.h", "asm/ioctl.h", "asm/statfs.h", "linux/magic.h",
        "linux/xattr.h", "linux/uio.h", "linux/un.h", "asm/socket.h", "linux/socket.h", "linux/inotify.h",
        "linux/membarrier.h", "linux/rseq.h", "linux/times.h", "linux/utime.h", "linux/capability.h",
        "linux/personality.h", "linux/mempolicy.h", "linux/pidfd.h", "linux/tty.h", "linux/sockios.h",
        "linux/ioprio.h", "linux/securebits.h", "linux/landlock.h", "linux/keyctl.h", "linux/io_uring.h",
        "linux/seccomp.h", "linux/filter.h", "linux/reboot.h", "linux/netlink.h", "linux/rtnetlink.h",
        "linux/shm.h",
        "asm/unistd.h",
    ];

    private static readonly string[] s_library =
    [
        "errno.h", "fcntl.h", "unistd.h", "dirent.h", "pwd.h", "sys/socket.h", "sys/un.h", "netinet/in.h", "sys/stat.h",
        "sys/mman.h", "sys/types.h", "sys/wait.h", "sys/resource.h", "sys/time.h", "sys/syscall.h", "sched.h",
        "spawn.h", "pthread.h", "signal.h", "time.h", "poll.h", "stdio.h", "limits.h", "linux/limits.h", "sys/epoll.h",
        "sys/timerfd.h", "sys/eventfd.h", "sys/signalfd.h", "sys/uio.h", "sys/mount.h", "sys/file.h", "link.h",
        "elf.h", "sys/statfs.h", "sys/statvfs.h", "sys/ioctl.h", "sys/prctl.h", "sys/random.h", "sys/sendfile.h",
        "sys/sysinfo.h", "sys/utsname.h", "sys/xattr.h", "netinet/tcp.h", "linux/vm_sockets.h", "seccomp.h",
    ];

    private static readonly string[] s_kvm = ["linux/kvm.h", "asm/kvm_para.h"];

    private static readonly string[] s_virtio =
    [
        "linux/virtio_config.h", "linux/virtio_ids.h", "linux/virtio_mmio.h", "linux/virtio_ring.h",
        "linux/virtio_blk.h", "linux/virtio_console.h", "linux/virtio_net.h", "linux/virtio_vsock.h",
        "linux/virtio_balloon.h", "linux/ioctl.h", "linux/if.h", "linux/if_tun.h",
    ];

    /// <summary>Every unit: its name and the C text that includes its headers.</summary>
    public static IReadOnlyDictionary<string, string> Units { get; } = new Dictionary<string, string>
    {
        [Kernel] = Include(s_kernel),
        [Library] = "#define _GNU_SOURCE\n" + Include(s_library),
        [Kvm] = Include(s_kvm),
        [Virtio] = Include(s_virtio),
    };

    /// <summary>The unit that declares a structure, unless a table says otherwise: its name begins like it.</summary>
    public static string OfStructure(string name) => name.Split('_')[0] switch
    {
        "kvm" => Kvm,
        "virtio" or "vring" => Virtio,
        _ => Kernel,
    };

    // Headers come and go with kernel versions; a name that is then missing everywhere fails the test by itself.
    private static string Include(string[] headers) =>
        "#include <stddef.h>\n"
        + string.Concat(headers.Select(name => $"#if __has_include(<{name}>)\n#include <{name}>\n#endif\n"));
}
