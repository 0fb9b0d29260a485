#include "hostile.h"
#include <dirent.h>
#include <limits.h>
#include <linux/mount.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

// Mount flags of the old interface; <sys/mount.h> does not go together with <linux/mount.h> everywhere.
enum { DETACH = 2, EXPIRE = 4 };

static int open_only(const char *path, int flags)
{
    return error_of(open_path(path, flags, 0));
}

static int read_at(const char *path)
{
    char byte;
    int file = open_path(path, O_RDONLY, 0);
    return file < 0 ? errno : error_of(read_bytes(file, &byte, 1));
}

static const char *in_folder(const char *folder, const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

// A place to mount at or to create in: the test's own folder, or the only one that is there.
static const char *place(void)
{
    const char *folder = setting("folder");
    return access(folder, F_OK) == 0 ? folder : "/";
}

static const char *of_victim(const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%ld/%s", number("pid"), name);
    return path;
}

static int read_file(void)
{
    return read_at(setting("secret"));
}

static int read_shadow(void)
{
    return read_at("/etc/shadow");
}

static int write_file(void)
{
    const char *path = in_folder(setting("folder"), "written");
    int file = open_path(path, O_WRONLY | O_CREAT, 0600);
    return file < 0 ? errno : error_of(unlink(path));
}

static int create_in_root(void)
{
    const char *path = "/created-by-a-hostile-vmm";
    int file = open_path(path, O_WRONLY | O_CREAT, 0600);
    // Another like this one may have removed it.
    return file < 0 ? errno : unlink(path) && errno != ENOENT ? errno : 0;
}

static int list_root(void)
{
    DIR *root = fdopendir(open_path("/", O_RDONLY | O_DIRECTORY, 0));
    if (!root)
        return errno;
    for (struct dirent *entry; (entry = readdir(root));)
        if (entry->d_name[0] != '.')
            return 0;
    return ENOENT;
}

static int above_root(void)
{
    return chdir("/") ? errno : read_at("../../../../../../etc/passwd");
}

static int read_own_environment(void)
{
    return open_only("/proc/self/environ", O_RDONLY);
}

static int read_process_memory(void)
{
    return open_only(of_victim("mem"), O_RDONLY);
}

static int through_process_root(void)
{
    return read_at(in_folder(of_victim("root"), setting("secret")));
}

static int through_process_folder(void)
{
    return open_only(of_victim("cwd"), O_PATH | O_DIRECTORY);
}

static int through_process_file(void)
{
    return open_only(of_victim("exe"), O_RDONLY);
}

static int reopen_descriptor(void)
{
    return open_only("/proc/self/fd/0", O_RDONLY);
}

static int read_sys(void)
{
    return open_only("/sys/kernel/uevent_seqnum", O_RDONLY);
}

static int write_sys(void)
{
    return open_only("/sys/kernel/uevent_helper", O_WRONLY) == 0 ? 0 : open_only("/sys/kernel/mm/ksm/run", O_WRONLY);
}

static int set_core_pattern(void)
{
    return open_only("/proc/sys/kernel/core_pattern", O_WRONLY);
}

static int trigger_sysrq(void)
{
    return open_only("/proc/sysrq-trigger", O_WRONLY);
}

static int open_device(void)
{
    return open_only("/dev/zero", O_RDWR);
}

static int connect_by_path(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, setting("socket"), sizeof address.sun_path - 1);
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    return local < 0 ? errno : error_of(connect(local, (struct sockaddr *)&address, sizeof address));
}

static int watch_file(void)
{
    int watcher = inotify_init1(0);
    return watcher < 0 ? errno : error_of(inotify_add_watch(watcher, setting("secret"), IN_ACCESS));
}

static int watch_mount(void)
{
    return error_of(syscall(SYS_fanotify_init, FAN_CLASS_CONTENT, O_RDONLY));
}

static int mount_kind(const char *kind, const char *options)
{
    const char *where = place();
    if (syscall(SYS_mount, kind, where, kind, 0, options))
        return errno;
    return error_of(syscall(SYS_umount2, where, DETACH));
}

static int mount_tmpfs(void)
{
    return mount_kind("tmpfs", NULL);
}

static int mount_proc(void)
{
    return mount_kind("proc", NULL);
}

static int mount_sysfs(void)
{
    return mount_kind("sysfs", NULL);
}

// The way to a release_agent, which the host's root would run.
static int mount_cgroup(void)
{
    return mount_kind("cgroup", "none,name=hostile");
}

static int open_release_agent(void)
{
    return open_only("/sys/fs/cgroup/memory/release_agent", O_WRONLY);
}

static int remount_root(void)
{
    return error_of(syscall(SYS_mount, NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}

// EINVAL: "/" is where this process is, after the check of its rights.
static int unmount_root(void)
{
    return harmless(syscall(SYS_umount2, "/", EXPIRE), EINVAL);
}

static int new_mount(void)
{
    return error_of(syscall(SYS_fsopen, "tmpfs", 0));
}

static int clone_mount(void)
{
    return error_of(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE));
}

static int change_root(void)
{
    return error_of(chroot("."));
}

static int pivot(void)
{
    // The root cannot be put on itself.
    return harmless(syscall(SYS_pivot_root, "/", "/"), EBUSY);
}

static int make_device(void)
{
    const char *path = in_folder(place(), "device");
    return mknod(path, S_IFCHR | 0600, makedev(1, 3)) ? errno : error_of(unlink(path));
}

static int open_by_handle(void)
{
    struct { struct file_handle head; char bytes[MAX_HANDLE_SZ]; } handle = { .head.handle_bytes = MAX_HANDLE_SZ };
    int mount;
    if (name_to_handle_at(AT_FDCWD, place(), &handle.head, &mount, 0))
        return errno;
    return error_of(open_by_handle_at(AT_FDCWD, &handle.head, O_PATH));
}

static int execute_host_program(void)
{
    execl("/usr/bin/true", "true", NULL);
    return errno;
}

// The least static program: exit(0).
// It ends with 0 if it has the group, and else with EPERM.
static int gain_group(void)
{
    char *arguments[] = { (char *)setting("set-group-id"), NULL };
    return error_of(execv(arguments[0], arguments));
}

static int execute_memory(void)
{
    static const unsigned char program[] = {
        0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1, 0, 0, 0,
        0x78, 0, 0x40, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0,
        0x81, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0,
        0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05 };
    int file = memfd_create("program", MFD_CLOEXEC);
    char *none[] = { NULL };
    if (file < 0 || write(file, program, sizeof program) != sizeof program)
        return errno;
    execveat(file, "", none, none, AT_EMPTY_PATH);
    return errno;
}

const struct attempt file_attempts[] = {
    { "read a host file by path", read_file },
    { "read /etc/shadow", read_shadow },
    { "write a host file by path", write_file },
    { "create a file in the root", create_in_root },
    { "list the root", list_root },
    { "walk above the root", above_root },
    { "read /proc/self/environ", read_own_environment },
    { "open /proc/PID/mem of a process", read_process_memory },
    { "read through /proc/PID/root", through_process_root },
    { "open /proc/PID/cwd", through_process_folder },
    { "open /proc/PID/exe", through_process_file },
    { "reopen a descriptor through /proc/self/fd", reopen_descriptor },
    { "read /sys", read_sys },
    { "write /sys", write_sys },
    { "set the core pattern", set_core_pattern },
    { "trigger SysRq", trigger_sysrq },
    { "open a device node", open_device },
    { "connect to a socket by path", connect_by_path },
    { "watch a file with inotify", watch_file },
    { "intercept opens with fanotify", watch_mount },
    { "mount a tmpfs", mount_tmpfs },
    { "mount /proc", mount_proc },
    { "mount /sys", mount_sysfs },
    { "mount a cgroup hierarchy", mount_cgroup },
    { "open a cgroup's release_agent", open_release_agent },
    { "remount the root", remount_root },
    { "unmount the root", unmount_root },
    { "fsopen", new_mount },
    { "open_tree with OPEN_TREE_CLONE", clone_mount },
    { "chroot", change_root },
    { "pivot_root", pivot },
    { "mknod of a device", make_device },
    { "open_by_handle_at", open_by_handle },
    { "execute a host program", execute_host_program },
    { "gain a group by a set-group-ID program", gain_group },
    { "execute a memfd", execute_memory },
    { 0 },
};
