using System.Buffers;
using System.Buffers.Binary;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.SystemCalls;

/// <summary>Directories: reading them, standing in them, and the names in them.</summary>
static partial class DirectoryCalls
{
    public static void Register(SystemCallTable table)
    {
        table.Add(SYS_getdents, "getdents", Getdents, "fd ptr size");
        table.Add(SYS_getdents64, "getdents64", Getdents64, "fd ptr size");
        table.Add(SYS_chdir, "chdir", Chdir, "path");
        table.Add(SYS_fchdir, "fchdir", Fchdir, "fd");
        table.Add(SYS_chroot, "chroot", Chroot, "path");
        table.Add(SYS_getcwd, "getcwd", Getcwd, "ptr size");
        RegisterNames(table);
    }

    private static long Getdents64(GuestThread thread, in SystemCallArguments a) =>
        ReadEntries(thread, a.Int0, a.A1, (uint)a.A2, oldFormat: false);

    private static long Getdents(GuestThread thread, in SystemCallArguments a) =>
        ReadEntries(thread, a.Int0, a.A1, (uint)a.A2, oldFormat: true);

    private static long ReadEntries(GuestThread thread, int descriptor, ulong address, uint count, bool oldFormat)
    {
        const int MaximumTransfer = 64 * 1024;
        long result = Located.ByDescriptor(thread, descriptor, allowPath: false, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            if (located.File is not DirectoryFile directory)
                return -ENOTDIR;
            int size = (int)Math.Min(count, MaximumTransfer);
            // Checked first: entries that cannot be handed over must not be skipped.
            if (thread.Memory.Accessible(new VirtualAddress(address), (ulong)size, write: true) < size)
                return -EFAULT;
            byte[] buffer = ArrayPool<byte>.Shared.Rent(MaximumTransfer);
            result = directory.ReadEntries(buffer.AsSpan(0, size));
            if (result >= 0)
                directory.Dentry.Mount.Watches.Report(directory.Dentry, IN_ACCESS);
            if (result > 0)
            {
                Span<byte> records = buffer.AsSpan(0, (int)result);
                if (oldFormat)
                    ToOldFormat(records);
                if (!thread.Memory.TryWrite(new VirtualAddress(address), records))
                    result = -EFAULT;
            }
            ArrayPool<byte>.Shared.Return(buffer);
            return result;
        }
    }

    /// <summary>
    /// struct linux_dirent has the name at once behind d_reclen and the type in the record's last byte. Records
    /// of both formats have the same size.
    /// </summary>
    internal static void ToOldFormat(Span<byte> records)
    {
        while (records.Length >= DirectoryFile.HeaderSize)
        {
            int size = BinaryPrimitives.ReadUInt16LittleEndian(records[16..]);
            Span<byte> record = records[..size];
            byte type = record[18];
            record[DirectoryFile.HeaderSize..].CopyTo(record[(DirectoryFile.HeaderSize - 1)..]);
            record[^1] = type;
            records = records[size..];
        }
    }

    private static long Chdir(GuestThread thread, in SystemCallArguments a)
    {
        long result = FindDirectory(thread, a.A0, out Dentry? directory);
        if (result == 0)
            thread.Process.FileSystem.WorkingDirectory = directory!;
        return result;
    }

    private static long Fchdir(GuestThread thread, in SystemCallArguments a)
    {
        long result = Located.ByDescriptor(thread, a.Int0, allowPath: true, out Located located);
        if (result < 0)
            return result;
        using (located)
        {
            if (located.Dentry is not { Inode.IsDirectory: true } directory)
                return -ENOTDIR;
            result = VirtualFileSystem.CheckAccess(Caller.Of(thread), directory, X_OK);
            if (result == 0)
                thread.Process.FileSystem.WorkingDirectory = directory;
            return result;
        }
    }

    private static long Chroot(GuestThread thread, in SystemCallArguments a)
    {
        long result = FindDirectory(thread, a.A0, out Dentry? directory);
        if (result < 0)
            return result;
        if (!thread.Process.Credentials.IsSuperuser)
            return -EPERM;
        thread.Process.FileSystem.Root = directory!;
        return 0;
    }

    private static long FindDirectory(GuestThread thread, ulong address, out Dentry? directory)
    {
        directory = null;
        long result = PathArgument.Read(thread, address, out ReadOnlySpan<byte> path);
        if (result < 0)
            return result;
        Caller caller = Caller.Of(thread);
        result = PathWalk.Resolve(
            caller, caller.WorkingDirectory, path, WalkFlags.Follow | WalkFlags.Directory, out directory);
        return result < 0 ? result : VirtualFileSystem.CheckAccess(caller, directory!, X_OK);
    }

    private static long Getcwd(GuestThread thread, in SystemCallArguments a)
    {
        FileSystemContext context = thread.Process.FileSystem;
        Dentry directory = context.WorkingDirectory;
        if (directory.IsUnlinked)
            return -ENOENT;
        byte[] path = directory.GetPath(context.Root);
        if (path.Length + 1 > PATH_MAX)
            return -ENAMETOOLONG;
        if ((ulong)path.Length + 1 > a.A1)
            return -ERANGE;
        Span<byte> text = stackalloc byte[PATH_MAX];
        path.CopyTo(text);
        text[path.Length] = 0;
        return thread.Memory.TryWrite(new VirtualAddress(a.A0), text[..(path.Length + 1)])
            ? path.Length + 1
            : -EFAULT;
    }
}
