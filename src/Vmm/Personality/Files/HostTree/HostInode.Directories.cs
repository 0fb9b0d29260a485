using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

// Host directories are held as O_PATH descriptors, a bounded number at a time. One that was let go is reopened by its
// path from the grant's root, and counts only if it is still the same directory.
sealed partial class HostInode
{
    /// <summary>Joined names per openat2 call; below PATH_MAX by a name.</summary>
    private const int ReopenChunk = 3072;

    /// <summary>Use of a directory descriptor for a few calls.</summary>
    internal readonly ref struct DirectoryLease(HostTreeCache cache, DirectoryHandle? handle, int descriptor)
    {
        public int Descriptor { get; } = descriptor;

        public void Dispose()
        {
            if (handle is not null)
                cache.Release(handle);
        }
    }

    /// <summary>The descriptor of a directory of this file system, reached through its dentry.</summary>
    internal static long Acquire(Dentry directory, out DirectoryLease lease)
    {
        lease = default;
        if (directory.Inode is not HostInode inode || !inode.IsDirectory)
            return -ENOTDIR;
        HostFileSystem fileSystem = inode._fileSystem;
        if (directory.IsMountRoot)
        {
            lease = new(fileSystem.Cache, null, fileSystem.RootDescriptor.Value);
            return 0;
        }
        DirectoryHandle? handle = fileSystem.Cache.TryAcquire(inode);
        if (handle is null)
        {
            long result = Reopen(directory, inode, out FileDescriptor? descriptor);
            if (result < 0)
                return result;
            handle = fileSystem.Cache.Add(inode, descriptor!);
        }
        lease = new(fileSystem.Cache, handle, handle.Descriptor.Value);
        return 0;
    }

    private static long Reopen(Dentry directory, HostInode inode, out FileDescriptor? descriptor)
    {
        descriptor = null;
        HostTreeCache cache = inode._fileSystem.Cache;
        // From the nearest directory above that is open.
        DentryPlace place = directory.Place;
        List<byte[]> names = [place.Name];
        Dentry above = place.Parent!;
        DirectoryHandle? start = null;
        while (!above.IsMountRoot)
        {
            if (above.Inode is not HostInode host)
                return -ENOENT;
            start = cache.TryAcquire(host);
            if (start is not null)
                break;
            place = above.Place;
            names.Add(place.Name);
            if (place.Parent is not { } next)
                return -ENOENT;
            above = next;
        }

        int current = start?.Descriptor.Value ?? inode._fileSystem.RootDescriptor.Value;
        FileDescriptor? opened = null;
        long result = 0;
        byte[] path = new byte[ReopenChunk + NAME_MAX + 1];
        for (int i = names.Count - 1; i >= 0 && result == 0;)
        {
            int length = 0;
            for (; i >= 0 && length < ReopenChunk; i--)
            {
                if (length > 0)
                    path[length++] = (byte)'/';
                names[i].CopyTo(path, length);
                length += names[i].Length;
            }
            int fd = HostCalls.Open(current, path.AsSpan(0, length), O_PATH | O_DIRECTORY, 0);
            opened?.Dispose();
            opened = null;
            if (fd < 0)
            {
                // A component has become a link or a file: what was here is not here any more.
                result = fd is -ELOOP or -ENOTDIR ? -ESTALE : fd;
                break;
            }
            opened = new FileDescriptor(fd);
            current = fd;
        }
        if (start is not null)
            cache.Release(start);
        if (result == 0)
        {
            result = HostCalls.GetStatus(current, out statx status);
            if (result == 0 && !inode.IsSame(status))
                result = -ESTALE;
        }
        if (result < 0)
        {
            opened?.Dispose();
            return result;
        }
        descriptor = opened;
        return 0;
    }
}
