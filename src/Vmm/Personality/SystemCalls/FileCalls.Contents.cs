using System.Buffers;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

// Lengths, space, flushing, locks, copying inside files.
static partial class FileCalls
{
    private static void RegisterContents(SystemCallTable table)
    {
        table.Add(SYS_truncate, "truncate", Truncate, "path offset");
        table.Add(SYS_ftruncate, "ftruncate", Ftruncate, "fd offset");
        table.Add(SYS_fallocate, "fallocate", Fallocate, "fd flags:FALLOC offset offset");
        table.Add(SYS_sync, "sync", Sync, "");
        table.Add(SYS_syncfs, "syncfs", Syncfs, "fd");
        table.Add(SYS_fsync, "fsync", Fsync, "fd");
        table.Add(SYS_fdatasync, "fdatasync", Fdatasync, "fd");
        table.Add(SYS_sync_file_range, "sync_file_range", SyncFileRange, "fd offset offset hex");
        table.Add(SYS_fadvise64, "fadvise64", Fadvise64, "fd offset size int");
        table.Add(SYS_readahead, "readahead", Readahead, "fd offset size");
        table.Add(SYS_flock, "flock", Flock, "fd flags:LOCK");
        table.Add(SYS_copy_file_range, "copy_file_range", CopyFileRange, "fd ptr fd ptr size hex", atExit: true);
    }

    private static long Truncate(GuestThread thread, in SystemCallArguments a)
    {
        if ((long)a.A1 < 0)
            return -EINVAL;
        long result = Located.ByPath(thread, AT_FDCWD, a.A0, 0, out Located located);
        if (result < 0)
            return result;
        using (located)
            return VirtualFileSystem.Truncate(Caller.Of(thread), located.Dentry!, (long)a.A1);
    }

    private static long Ftruncate(GuestThread thread, in SystemCallArguments a)
    {
        if ((long)a.A1 < 0)
            return -EINVAL;
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            result = located.File!.CanWrite ? located.File.Truncate((long)a.A1) : -EINVAL;
            if (result == 0)
                located.Dentry?.Mount.Watches.Report(located.Dentry, IN_MODIFY);
            return result;
        }
    }

    private static long Fallocate(GuestThread thread, in SystemCallArguments a)
    {
        const int Known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE
            | FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE;
        long offset = (long)a.A2, length = (long)a.A3;
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            if (offset < 0 || length <= 0)
                return -EINVAL;
            if ((a.Int1 & ~Known) != 0)
                return -EOPNOTSUPP;
            if (!located.File!.CanWrite)
                return -EBADF;
            if (located.InodeFile is not { } file)
                return -ESPIPE;
            if (!file.Inode.IsRegular)
                return file.Inode.IsDirectory ? -EISDIR : file.Inode.Type == S_IFIFO ? -ESPIPE : -ENODEV;
            if (length > long.MaxValue - offset)
                return -EFBIG;
            result = file.Allocate(a.Int1, offset, length);
            if (result == 0)
                file.Dentry.Mount.Watches.Report(file.Dentry, IN_MODIFY);
            return result;
        }
    }

    private static long Sync(GuestThread thread, in SystemCallArguments a)
    {
        foreach (Mount mount in thread.Personality.Files.Mounts)
        {
            // sync(2) reports no errors; syncfs and fsync do.
            if (!mount.IsReadOnly)
                _ = mount.FileSystem.Synchronize();
        }
        return 0;
    }

    private static long Syncfs(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
            return located.Dentry is { Mount: { IsReadOnly: false } mount } ? mount.FileSystem.Synchronize() : 0;
    }

    private static long Fsync(GuestThread thread, in SystemCallArguments a) => Flush(thread, a.Int0, dataOnly: false);

    private static long Fdatasync(GuestThread thread, in SystemCallArguments a) => Flush(thread, a.Int0, dataOnly: true);

    private static long Flush(GuestThread thread, int descriptor, bool dataOnly)
    {
        long result = Located.ByDescriptor(thread, descriptor, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
            return located.File!.Synchronize(dataOnly);
    }

    private static long SyncFileRange(GuestThread thread, in SystemCallArguments a)
    {
        const uint Known = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
        if (((uint)a.A3 & ~Known) != 0 || (long)a.A1 < 0 || (long)a.A2 < 0 || (long)(a.A1 + a.A2) < 0)
            return -EINVAL;
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            if (located.InodeFile?.Inode is not { } inode || !(inode.IsRegular || inode.IsDirectory))
                return -ESPIPE;
            return located.File!.Synchronize(dataOnly: true);
        }
    }

    /// <summary>Advice: checked and otherwise left to the host, which reads ahead by itself.</summary>
    private static long Fadvise64(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            if (located.InodeFile is null || located.InodeFile.Inode.Type == S_IFIFO)
                return -ESPIPE;
            return (long)a.A2 < 0 || a.Int3 is < POSIX_FADV_NORMAL or > POSIX_FADV_NOREUSE ? -EINVAL : 0;
        }
    }

    private static long Readahead(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            if (!located.File!.CanRead)
                return -EBADF;
            return located.InodeFile?.Inode.IsRegular == true ? 0 : -EINVAL;
        }
    }

    private static long Flock(GuestThread thread, in SystemCallArguments a)
    {
        if ((a.Int1 & ~LOCK_NB) is not (LOCK_SH or LOCK_EX or LOCK_UN))
            return -EINVAL;
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
            return located.File!.LockWhole(thread, a.Int1);
    }

    private static long CopyFileRange(GuestThread thread, in SystemCallArguments a)
    {
        if ((uint)a.A5 != 0)
            return -EINVAL;
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: false, out Located from);
        if (result < 0)
            return result;
        using (from)
        {
            result = Located.ByDescriptor(thread, a.Int2, allowPath: false, out Located to);
            if (result < 0)
                return result;
            using (to)
                return CopyFileRange(thread, from.InodeFile, to.InodeFile, a);
        }
    }

    private static long CopyFileRange(GuestThread thread, InodeFile? from, InodeFile? to, in SystemCallArguments a)
    {
        if (from is null || to is null)
            return -EINVAL;
        if (from.Inode.IsDirectory || to.Inode.IsDirectory)
            return -EISDIR;
        if (!from.Inode.IsRegular || !to.Inode.IsRegular)
            return -EINVAL;
        if (!from.CanRead || !to.CanWrite || (to.StatusFlags & O_APPEND) != 0)
            return -EBADF;
        long source = 0, target = 0;
        if (a.A1 != 0 && !thread.Memory.TryRead(new VirtualAddress(a.A1), out source))
            return -EFAULT;
        if (a.A3 != 0 && !thread.Memory.TryRead(new VirtualAddress(a.A3), out target))
            return -EFAULT;
        if (a.A1 == 0)
            source = from.Seek(0, SEEK_CUR);
        if (a.A3 == 0)
            target = to.Seek(0, SEEK_CUR);
        long length = (long)Math.Min(a.A4, GuestBufferLimit);
        if (source < 0 || target < 0)
            return -EINVAL;
        if (source > long.MaxValue - length || target > long.MaxValue - length)
            return -EOVERFLOW;
        if (from.Inode.Identity == to.Inode.Identity && source < target + length && target < source + length)
            return -EINVAL;

        long copied = Copy(from, source, to, target, length);
        InputOutputCalls.ReportCopied(from, to, copied);
        if (copied <= 0)
            return copied;
        source += copied;
        target += copied;
        if (a.A1 == 0)
            from.Seek(source, SEEK_SET);
        else if (!thread.Memory.TryWrite(new VirtualAddress(a.A1), source))
            return -EFAULT;
        if (a.A3 == 0)
            to.Seek(target, SEEK_SET);
        else if (!thread.Memory.TryWrite(new VirtualAddress(a.A3), target))
            return -EFAULT;
        return copied;
    }

    /// <summary>One call copies at most this much, so that it stays interruptible; the caller goes on (copy_file_range(2)).</summary>
    private const ulong GuestBufferLimit = 64 << 20;

    private static long Copy(InodeFile from, long source, InodeFile to, long target, long length)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(256 * 1024);
        long copied = 0;
        try
        {
            while (copied < length)
            {
                int wanted = (int)Math.Min(buffer.Length, length - copied);
                long read = from.ReadAt(buffer.AsSpan(0, wanted), source + copied);
                if (read <= 0)
                    return copied > 0 ? copied : read;
                for (int done = 0; done < read;)
                {
                    long written = to.WriteAt(buffer.AsSpan(done, (int)read - done), target + copied);
                    if (written <= 0)
                        return copied > 0 ? copied : written;
                    done += (int)written;
                    copied += written;
                }
            }
            return copied;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
