using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>A folder's mount once more, attached to no tree: whoever holds it finds nothing above the folder.</summary>
public static unsafe class DetachedMount
{
    /// <summary>
    /// Copies the mount of a folder with all that is mounted in it. Set-user-ID programs and devices have no effect in
    /// it.
    /// </summary>
    /// <param name="folder">An open folder; the caller has CAP_SYS_ADMIN where it is mounted.</param>
    /// <param name="writable">False: nothing can be changed through it.</param>
    /// <param name="owners">
    /// A user namespace that says who owns what: mount_setattr(2), ID-mapped mounts. Null: as it is.
    /// </param>
    /// <returns>0 or a negative error number.</returns>
    public static int TryCopy(FileDescriptor folder, bool writable, FileDescriptor? owners, out FileDescriptor? copy)
    {
        copy = null;
        byte nowhere = 0;
        int descriptor = open_tree(
            folder.Value, &nowhere, (uint)(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
        if (descriptor < 0)
            return -errno;
        var mount = new FileDescriptor(descriptor);
        int error = Set(mount, AT_RECURSIVE, new mount_attr
        {
            attr_set = (ulong)(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (writable ? 0 : MOUNT_ATTR_RDONLY)),
        });
        // What is mounted inside is not entered, and may be of a kind that cannot be mapped.
        if (error == 0 && owners is not null)
            error = Set(mount, 0, new mount_attr { attr_set = MOUNT_ATTR_IDMAP, userns_fd = (ulong)owners.Value });
        if (error != 0)
        {
            mount.Dispose();
            return error;
        }
        copy = mount;
        return 0;
    }

    private static int Set(FileDescriptor mount, int flags, mount_attr attributes)
    {
        byte nowhere = 0;
        return mount_setattr(mount.Value, &nowhere, (uint)(AT_EMPTY_PATH | flags), &attributes) == 0 ? 0 : -errno;
    }
}
