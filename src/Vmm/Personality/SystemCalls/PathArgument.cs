using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality
{
    public sealed partial class GuestThread
    {
        private byte[]? _pathBuffer;
        private byte[]? _secondPathBuffer;

        /// <summary>Where a call's path is copied to. One call uses it at a time.</summary>
        internal byte[] PathBuffer => _pathBuffer ??= new byte[PATH_MAX];

        /// <summary>For calls with two paths.</summary>
        internal byte[] SecondPathBuffer => _secondPathBuffer ??= new byte[PATH_MAX];
    }
}

namespace Sandbox.Vmm.Personality.SystemCalls
{
    /// <summary>Path arguments: copied once from the guest into the thread's buffer.</summary>
    static class PathArgument
    {
        /// <returns>0, -EFAULT, or -ENAMETOOLONG at PATH_MAX bytes with the NUL.</returns>
        public static long Read(GuestThread thread, ulong address, out ReadOnlySpan<byte> path) =>
            Read(thread, address, thread.PathBuffer, out path);

        public static long ReadSecond(GuestThread thread, ulong address, out ReadOnlySpan<byte> path) =>
            Read(thread, address, thread.SecondPathBuffer, out path);

        private static long Read(GuestThread thread, ulong address, byte[] buffer, out ReadOnlySpan<byte> path)
        {
            path = default;
            int length = thread.Memory.ReadString(new VirtualAddress(address), buffer);
            if (length < 0)
                return length;
            path = buffer.AsSpan(0, length);
            return 0;
        }
    }

    /// <summary>What an *at call works on: a place in the tree, or an open file (AT_EMPTY_PATH, or an f* call).</summary>
    readonly ref struct Located
    {
        private Located(Dentry? dentry, OpenFile? file)
        {
            Dentry = dentry;
            File = file;
        }

        /// <summary>Null only for files outside the tree: pipes, sockets and the like.</summary>
        public Dentry? Dentry { get; }

        /// <summary>Not null when a descriptor named it. Released by <see cref="Dispose"/>.</summary>
        public OpenFile? File { get; }

        /// <summary>The open file to apply changes to; an O_PATH descriptor stands for its place.</summary>
        public InodeFile? InodeFile => File is InodeFile file and not PathFile ? file : null;

        public void Dispose() => File?.Release();

        /// <summary>By path, with AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW of the flags; others are the caller's to check.</summary>
        public static long ByPath(GuestThread thread, int directory, ulong address, int flags, out Located located)
        {
            located = default;
            long result = PathArgument.Read(thread, address, out ReadOnlySpan<byte> path);
            if (result < 0)
                return result;
            if (path.IsEmpty && (flags & AT_EMPTY_PATH) != 0)
            {
                if (directory == AT_FDCWD)
                {
                    located = new(thread.Process.FileSystem.WorkingDirectory, null);
                    return 0;
                }
                return ByDescriptor(thread, directory, allowPath: true, out located);
            }
            result = VirtualFileSystem.Start(thread, directory, path, out Dentry start);
            if (result < 0)
                return result;
            WalkFlags walk = (flags & AT_SYMLINK_NOFOLLOW) != 0 ? WalkFlags.None : WalkFlags.Follow;
            result = PathWalk.Resolve(Caller.Of(thread), start, path, walk, out Dentry? target);
            if (result == 0)
                result = PathGuard.CheckVisible(target!);
            if (result == 0)
                located = new(target, null);
            return result;
        }

        /// <param name="allowPath">Whether an O_PATH descriptor will do; else it is -EBADF.</param>
        public static long ByDescriptor(GuestThread thread, int descriptor, bool allowPath, out Located located)
        {
            located = default;
            OpenFile? file = thread.Descriptors.Acquire(descriptor);
            if (file is null)
                return -EBADF;
            if (!allowPath && file is PathFile)
            {
                file.Release();
                return -EBADF;
            }
            located = new((file as InodeFile)?.Dentry, file);
            return 0;
        }

        public long GetStatus(out InodeStatus status)
        {
            if (File is InodeFile inodeFile)
                return inodeFile.GetStatus(out status);
            if (File is not null)
            {
                long result = File.GetStatus(out Sandbox.Host.stat small);
                status = InodeStatus.FromStat(small);
                return result;
            }
            return Dentry!.Inode.GetStatus(Dentry, out status);
        }
    }
}
