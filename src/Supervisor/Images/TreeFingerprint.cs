using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Images;

/// <summary>
/// What the inodes of a tree say, without their content: as long as it is the same, nothing in the tree was changed.
/// The time of change is the kernel's own, which no program can set.
/// </summary>
sealed class TreeFingerprint : ITreeVisitor
{
    readonly (uint Major, uint Minor, ulong Inode) _forbidden;
    readonly TreeHash _hash;

    TreeFingerprint(TreeHash hash, in stat forbidden)
    {
        _hash = hash;
        _forbidden = (major(forbidden.st_dev), minor(forbidden.st_dev), forbidden.st_ino);
    }

    /// <summary>The latest change of all, in seconds since 1970.</summary>
    long Newest { get; set; }

    /// <param name="forbidden">A folder that must not be in the tree.</param>
    /// <returns>The fingerprint in hexadecimal digits, and the latest change in seconds since 1970.</returns>
    /// <exception cref="UsageException">The tree cannot be packed.</exception>
    public static (string Value, long Newest) Of(FileDescriptor root, in stat forbidden)
    {
        using var hash = new TreeHash();
        var fingerprint = new TreeFingerprint(hash, forbidden);
        TreeWalk.Visit(root, fingerprint);
        return (hash.End(), fingerprint.Newest);
    }

    public void Visit(scoped in TreeEntry entry)
    {
        ref readonly statx status = ref entry.Status;
        if ((status.stx_dev_major, status.stx_dev_minor, status.stx_ino) == _forbidden)
            throw new UsageException(
                "--root: it holds the folder in which its image would be kept; name a folder without it");
        Newest = Math.Max(Newest, status.stx_ctime.tv_sec);
        _hash.Raw(entry.Path);
        _hash.Numbers(
            status.stx_mode, status.stx_uid, status.stx_gid, status.stx_nlink, status.stx_size, status.stx_ino,
            status.stx_dev_major, status.stx_dev_minor, status.stx_rdev_major, status.stx_rdev_minor,
            (ulong)status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec, (ulong)status.stx_ctime.tv_sec,
            status.stx_ctime.tv_nsec);
    }
}
