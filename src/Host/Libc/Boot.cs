namespace Sandbox.Host;

/// <summary>What a system's first process does: linux/mount.h, linux/reboot.h, linux/module.h.</summary>
public static unsafe partial class Libc
{
    public const int LINUX_REBOOT_CMD_POWER_OFF = 0x4321fedc;

    public static int mount(byte* source, byte* target, byte* type, nuint flags, byte* data) =>
        (int)syscall(SYS_mount, (nint)source, (nint)target, (nint)type, (nint)flags, (nint)data);

    public static int chroot(byte* path) => (int)syscall(SYS_chroot, (nint)path);

    public static int mkdir(byte* path, uint mode) => (int)syscall(SYS_mkdir, (nint)path, (nint)mode);

    public static int sethostname(byte* name, nuint length) => (int)syscall(SYS_sethostname, (nint)name, (nint)length);

    public static int finit_module(int fd, byte* parameters, int flags) =>
        (int)syscall(SYS_finit_module, fd, (nint)parameters, flags);

    public static void sync() => syscall(SYS_sync);

    /// <summary>Returns only when it is refused.</summary>
    public static int reboot(int command) =>
        (int)syscall(SYS_reboot, unchecked((int)0xfee1dead), 672274793, command, 0);
}
