using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>Changes to a mount: linux/mount.h, mount_setattr(2).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct mount_attr
{
    public ulong attr_set;
    public ulong attr_clr;
    public ulong propagation;
    public ulong userns_fd;
}

/// <summary>Mounts as descriptors: mount_setattr(2).</summary>
public static unsafe partial class Libc
{
    /// <summary>A copy of a mount, attached nowhere: OPEN_TREE_CLONE. Answers a descriptor.</summary>
    public static int open_tree(int directory, byte* path, uint flags) =>
        (int)syscall(SYS_open_tree, directory, (nint)path, (nint)flags);

    public static int mount_setattr(int directory, byte* path, uint flags, mount_attr* attributes) =>
        (int)syscall(SYS_mount_setattr, directory, (nint)path, (nint)flags, (nint)attributes, sizeof(mount_attr));
}
