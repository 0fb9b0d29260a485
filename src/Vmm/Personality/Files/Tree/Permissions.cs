using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// Discretionary access as path_resolution(7) describes it, among the guest's own users. What the host allows the
/// VMM is checked by the host when a host file is really opened.
/// </summary>
static class Permissions
{
    /// <param name="mask">R_OK, W_OK, X_OK together.</param>
    public static long Check(in InodeStatus status, Credentials credentials, int mask) =>
        Check(status.Mode, status.Uid, status.Gid, credentials, mask);

    public static long Check(uint mode, uint uid, uint gid, Credentials credentials, int mask)
    {
        if (credentials.FileSystemUid == 0)
        {
            // CAP_DAC_OVERRIDE: everything, but executing a file takes at least one execute bit.
            bool executable = (mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0 || (mode & S_IFMT) == S_IFDIR;
            return (mask & X_OK) == 0 || executable ? 0 : -EACCES;
        }
        uint granted;
        if (uid == credentials.FileSystemUid)
            granted = mode >> 6;
        else if (IsMember(credentials, gid))
            granted = mode >> 3;
        else
            granted = mode;
        return (mask & ~(int)granted & 7) == 0 ? 0 : -EACCES;
    }

    public static bool IsMember(Credentials credentials, uint gid) =>
        gid == credentials.FileSystemGid || Array.IndexOf(credentials.Groups, gid) >= 0;

    /// <summary>Whether the caller may do what only an owner may: chmod, utimensat with times.</summary>
    public static bool IsOwner(in InodeStatus status, Credentials credentials) =>
        credentials.FileSystemUid == 0 || credentials.FileSystemUid == status.Uid;

    /// <summary>The sticky bit of a directory: only owners of file or directory may remove or rename the file.</summary>
    public static bool MayRemove(in InodeStatus directory, in InodeStatus file, Credentials credentials) =>
        (directory.Mode & S_ISVTX) == 0 || IsOwner(file, credentials) || IsOwner(directory, credentials);

    public static int OpenMask(int flags) => (flags & O_ACCMODE) switch
    {
        O_RDONLY => R_OK,
        O_WRONLY => W_OK,
        _ => R_OK | W_OK,
    } | ((flags & O_TRUNC) != 0 ? W_OK : 0);
}
