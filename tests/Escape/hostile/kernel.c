#include "hostile.h"
#include <asm/ldt.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <linux/securebits.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/utsname.h>

static int new_user_namespace(void)
{
    return error_of(unshare(CLONE_NEWUSER));
}

// All capabilities are regained in a user namespace of its own: does that help over the other walls?
static int mount_as_new_root(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
        return errno;
    return error_of(syscall(SYS_mount, "tmpfs", "/", "tmpfs", 0, NULL));
}

static int new_mount_namespace(void)
{
    return error_of(unshare(CLONE_NEWNS));
}

static int new_network_namespace(void)
{
    return error_of(unshare(CLONE_NEWNET));
}

static int new_ipc_namespace(void)
{
    return error_of(unshare(CLONE_NEWIPC));
}

static int new_uts_namespace(void)
{
    return error_of(unshare(CLONE_NEWUTS));
}

static int new_pid_namespace(void)
{
    return error_of(unshare(CLONE_NEWPID));
}

static int new_cgroup_namespace(void)
{
    return error_of(unshare(CLONE_NEWCGROUP));
}

static int new_time_namespace(void)
{
    return error_of(unshare(0x80 /* CLONE_NEWTIME */));
}

static int raise_capability(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { .effective = 1 << CAP_SYS_ADMIN, .permitted = 1 << CAP_SYS_ADMIN } };
    return error_of(syscall(SYS_capset, &header, data));
}

static int unlock_securebits(void)
{
    return error_of(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
}

static int become_another_user(void)
{
    return error_of(syscall(SYS_setresuid, 1, 1, 1));
}

static int become_another_group(void)
{
    return error_of(syscall(SYS_setresgid, 1, 1, 1));
}

static int leave_groups(void)
{
    return error_of(syscall(SYS_setgroups, 0, NULL));
}

static int account(void)
{
    return harmless(syscall(SYS_acct, "/nothing/is/here"), ENOENT);
}

static int swap_on(void)
{
    return harmless(swapon("/nothing/is/here", 0), ENOENT);
}

static int swap_off(void)
{
    return harmless(swapoff("/nothing/is/here"), ENOENT);
}

// The magic numbers are wrong.
static int reboot_host(void)
{
    return harmless(syscall(SYS_reboot, 0, 0, 0, NULL), EINVAL);
}

// The flags are wrong.
static int load_kernel(void)
{
    return harmless(syscall(SYS_kexec_load, 0, 0, NULL, 0xffff), EINVAL);
}

static int load_module(void)
{
    return harmless(syscall(SYS_init_module, "nothing", 7, ""), ENOEXEC);
}

static int unload_module(void)
{
    return harmless(syscall(SYS_delete_module, "hostile", O_NONBLOCK), ENOENT);
}

// Any other name is no secret.
static int read_host_name(void)
{
    struct utsname name;
    return uname(&name) ? errno : strcmp(name.nodename, setting("hostname")) ? ENXIO : 0;
}

// In a namespace of its own it may be called what it likes.
static int set_host_name(void)
{
    int error = read_host_name();
    return error ? error : error_of(sethostname(setting("hostname"), strlen(setting("hostname"))));
}

// No clock ticks so slowly.
static int set_clock(void)
{
    struct timex change = { .modes = ADJ_TICK };
    return harmless(adjtimex(&change), EINVAL);
}

static int read_kernel_log(void)
{
    char text[256];
    return error_of(klogctl(3, text, sizeof text));
}

static int use_ports(void)
{
    return error_of(iopl(3));
}

static int local_descriptor_table(void)
{
    struct user_desc segment = { .limit = 1, .seg_32bit = 1, .useable = 1 };
    return error_of(syscall(SYS_modify_ldt, 1, &segment, sizeof segment));
}

static int load_bpf(void)
{
    union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
    return error_of(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map));
}

static int count_events(void)
{
    struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof event,
        .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1, .exclude_hv = 1 };
    return error_of(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
}

static int handle_faults(void)
{
    return error_of(syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY));
}

static int use_io_uring(void)
{
    struct io_uring_params parameters = { 0 };
    return error_of(syscall(SYS_io_uring_setup, 4, &parameters));
}

static int lend_pages(void)
{
    static char page[4096];
    struct iovec part = { page, sizeof page };
    int ends[2];
    return pipe(ends) ? errno : error_of(vmsplice(ends[1], &part, 1, 0));
}

static int fixed_addresses(void)
{
    return error_of(personality(ADDR_NO_RANDOMIZE));
}

static int map_executable(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
        ? errno : 0;
}

static int make_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return error_of(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int second_machine(void)
{
    return error_of(ioctl(KVM, KVM_CREATE_VM, 0));
}

const struct attempt kernel_attempts[] = {
    { "new user namespace", new_user_namespace },
    { "mount as root of a new user namespace", mount_as_new_root },
    { "new mount namespace", new_mount_namespace },
    { "new network namespace", new_network_namespace },
    { "new IPC namespace", new_ipc_namespace },
    { "new UTS namespace", new_uts_namespace },
    { "new PID namespace", new_pid_namespace },
    { "new cgroup namespace", new_cgroup_namespace },
    { "new time namespace", new_time_namespace },
    { "raise a capability", raise_capability },
    { "change the securebits", unlock_securebits },
    { "setresuid", become_another_user },
    { "setresgid", become_another_group },
    { "setgroups", leave_groups },
    { "acct", account },
    { "swapon", swap_on },
    { "swapoff", swap_off },
    { "reboot", reboot_host },
    { "kexec_load", load_kernel },
    { "init_module", load_module },
    { "delete_module", unload_module },
    { "read the host's name", read_host_name },
    { "set the host's name", set_host_name },
    { "set the clock", set_clock },
    { "read the kernel's log", read_kernel_log },
    { "iopl", use_ports },
    { "modify_ldt", local_descriptor_table },
    { "bpf", load_bpf },
    { "perf_event_open", count_events },
    { "userfaultfd", handle_faults },
    { "io_uring_setup", use_io_uring },
    { "vmsplice", lend_pages },
    { "personality without random addresses", fixed_addresses },
    { "map memory writable and executable", map_executable },
    { "make written memory executable", make_executable },
    { "start a second virtual machine", second_machine },
    { 0 },
};
