using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Tests.Processes;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>The system calls of files and directories, with arguments in guest memory, without a running guest.</summary>
public sealed class FileCallTests : IDisposable
{
    private const ulong Base = 0x100000;
    private const ulong Size = 64 * Page.Size;
    private const ulong Output = Base + 0x8000;
    private const ulong Unmapped = 0x40;
    private const ulong Cwd = unchecked((ulong)AT_FDCWD);

    private readonly ScriptedGuest _guest = new();
    private readonly GuestThread _thread;
    private ulong _next = Base;

    public FileCallTests()
    {
        LinuxPersonality personality = _guest.Personality;
        personality.BuildFiles([]);
        _thread = personality.CreateFirstProcess(
            new DescriptorTable(64), personality.Files.CreateContext(personality.Files.Root));
        AddressSpace memory = _guest.Memory.CreateAddressSpace()!;
        Assert.Equal((long)Base, memory.Map(
            new VirtualAddress(Base), Size, Protection.ReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, null, 0));
        _thread.Process.Memory = memory;
        Assert.Equal(0, Call(SYS_chdir, Text("/dev/shm")));
    }

    private long Call(int number, params ReadOnlySpan<ulong> a)
    {
        Span<ulong> all = stackalloc ulong[6];
        a.CopyTo(all);
        return _guest.Personality.SystemCalls[(ulong)number].Handler(
            _thread, new SystemCallArguments(all[0], all[1], all[2], all[3], all[4], all[5]));
    }

    private ulong Text(string text) => Place([.. Encoding.UTF8.GetBytes(text), 0]);

    private ulong Place(ReadOnlySpan<byte> bytes)
    {
        if (_next + (ulong)bytes.Length > Output)
            _next = Base;
        ulong at = _next;
        Assert.True(_thread.Memory.TryWrite(new VirtualAddress(at), bytes));
        _next += (ulong)(bytes.Length + 15) & ~15UL;
        return at;
    }

    private ulong Place<T>(T value) where T : unmanaged =>
        Place(System.Runtime.InteropServices.MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    private T Get<T>(ulong address = Output) where T : unmanaged
    {
        Assert.True(_thread.Memory.TryRead(new VirtualAddress(address), out T value));
        return value;
    }

    private byte[] GetBytes(long count)
    {
        byte[] bytes = new byte[count];
        Assert.True(_thread.Memory.TryRead(new VirtualAddress(Output), bytes));
        return bytes;
    }

    private ulong Create(string path, string content = "")
    {
        long fd = Call(SYS_open, Text(path), O_CREAT | O_RDWR, 0x1b6);
        Assert.InRange(fd, 0, 63);
        if (content.Length > 0)
            Assert.Equal(content.Length, Call(SYS_write, (ulong)fd, Text(content), (ulong)content.Length));
        return (ulong)fd;
    }

    [Fact]
    public void PathsThatCannotBeReadAreFaults()
    {
        foreach (int number in new[] { SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_chdir,
            SYS_chroot, SYS_truncate, SYS_readlink, SYS_chmod, SYS_chown, SYS_utime, SYS_statfs, SYS_mknod, SYS_symlink,
            SYS_rename, SYS_link, SYS_creat, SYS_getxattr, SYS_listxattr, SYS_memfd_create })
        {
            ulong second = number switch { SYS_mknod => S_IFREG, SYS_access => R_OK, _ => 16 };
            Assert.Equal(-EFAULT, Call(number, Unmapped, second, 16));
        }
        Assert.Equal(-EFAULT, Call(SYS_openat, Cwd, Unmapped, 0, 0));
        Assert.Equal(-EFAULT, Call(SYS_rename, Text("a"), Unmapped));
        // Not ended within the mapping.
        Assert.True(_thread.Memory.TryWrite(new VirtualAddress(Base + Size - 4), "aaaa"u8));
        Assert.Equal(-EFAULT, Call(SYS_open, Base + Size - 4, 0, 0));
        Assert.Equal(-ENAMETOOLONG, Call(SYS_open, Text(new string('a', 4096)), 0, 0));
        Assert.Equal(-ENOENT, Call(SYS_open, Text(""), O_CREAT | O_RDWR, 0x1b6));
    }

    [Fact]
    public void ResultsThatCannotBeWrittenAreFaults()
    {
        ulong fd = Create("a");
        Assert.Equal(-EFAULT, Call(SYS_fstat, fd, Unmapped));
        Assert.Equal(-EFAULT, Call(SYS_stat, Text("a"), Unmapped));
        Assert.Equal(-EFAULT, Call(SYS_statx, Cwd, Text("a"), 0, STATX_ALL, Unmapped));
        Assert.Equal(-EFAULT, Call(SYS_getcwd, Unmapped, 100));
        Assert.Equal(-EFAULT, Call(SYS_fstatfs, fd, Unmapped));
        long directory = Call(SYS_open, Text("."), O_RDONLY, 0);
        Assert.Equal(-EFAULT, Call(SYS_getdents64, (ulong)directory, Unmapped, 1000));
        // And nothing was skipped.
        Assert.Equal(72, Call(SYS_getdents64, (ulong)directory, Output, 1000));
    }

    [Fact]
    public void BadDescriptorsAreRefusedFirst()
    {
        foreach (int number in new[] { SYS_fstat, SYS_fchdir, SYS_fchmod, SYS_fchown, SYS_fsync, SYS_fdatasync, SYS_ftruncate,
            SYS_getdents64, SYS_getdents, SYS_fstatfs, SYS_syncfs, SYS_readahead, SYS_fadvise64, SYS_flistxattr })
            Assert.Equal(-EBADF, Call(number, 99, 0, 1));
        Assert.Equal(-EBADF, Call(SYS_flock, 99, LOCK_EX));
        Assert.Equal(-EBADF, Call(SYS_openat, 99, Text("a"), 0, 0));
        Assert.Equal(-EBADF, Call(SYS_openat, ulong.MaxValue, Text("a"), 0, 0));
        // An absolute path does not need the descriptor.
        Assert.InRange(Call(SYS_openat, 99, Text("/dev/null"), 0, 0), 0, 63);
    }

    [Fact]
    public void OPathDescriptorsAreOnlyPlaces()
    {
        Create("a", "x");
        long fd = Call(SYS_open, Text("a"), O_PATH | O_RDWR, 0);
        Assert.Equal(0, Call(SYS_fstat, (ulong)fd, Output));
        Assert.Equal(-EBADF, Call(SYS_read, (ulong)fd, Output, 1));
        Assert.Equal(-EBADF, Call(SYS_fchmod, (ulong)fd, 0x1ff));
        Assert.Equal(-EBADF, Call(SYS_ftruncate, (ulong)fd, 0));
        Assert.Equal(-EBADF, Call(SYS_fsync, (ulong)fd));
        Assert.Equal(-ENOTDIR, Call(SYS_openat, (ulong)fd, Text("b"), 0, 0));
        Assert.Equal(0, Call(SYS_newfstatat, (ulong)fd, Text(""), Output, AT_EMPTY_PATH));
        Assert.Equal(1, Get<stat>().st_size);
        Assert.Equal(-ENOENT, Call(SYS_newfstatat, (ulong)fd, Text(""), Output, 0));
        Assert.Equal(-EINVAL, Call(SYS_newfstatat, (ulong)fd, Text(""), Output, 0x80000));
    }

    [Fact]
    public void DirectoriesAreReadInBothFormats()
    {
        Create("a");
        ulong directory = (ulong)Call(SYS_open, Text("."), O_RDONLY | O_DIRECTORY, 0);
        long count = Call(SYS_getdents64, directory, Output, 1000);
        Assert.Equal([".", "..", "a"], GuestTree.Names(GetBytes(count)));
        Assert.Equal(0, Call(SYS_getdents64, directory, Output, 1000));
        Assert.Equal(0, Call(SYS_lseek, directory, 0, SEEK_SET));
        Assert.Equal(-EINVAL, Call(SYS_getdents64, directory, Output, 10));
        count = Call(SYS_getdents, directory, Output, 1000);
        byte[] old = GetBytes(count);
        Assert.Equal((byte)'.', old[18]);
        Assert.Equal(DT_DIR, old[BitConverter.ToUInt16(old, 16) - 1]);
        Assert.Equal((byte)'a', old[^6]);
        Assert.Equal(DT_REG, old[^1]);
        Assert.Equal(-EISDIR, Call(SYS_read, directory, Output, 10));
        Assert.Equal(-ENOTDIR, Call(SYS_getdents64, Create("a"), Output, 1000));
    }

    [Fact]
    public void WorkingDirectoriesFollowTheManual()
    {
        Assert.Equal(9, Call(SYS_getcwd, Output, 100));
        Assert.Equal("/dev/shm\0"u8.ToArray(), GetBytes(9));
        Assert.Equal(-ERANGE, Call(SYS_getcwd, Output, 8));
        Assert.Equal(0, Call(SYS_mkdir, Text("d"), 0x1ff));
        ulong here = (ulong)Call(SYS_open, Text("."), O_PATH, 0);
        Assert.Equal(0, Call(SYS_chdir, Text("d")));
        Assert.Equal(0, Call(SYS_rename, Text("../d"), Text("../e")));
        Assert.Equal(11, Call(SYS_getcwd, Output, 100));
        Assert.Equal("/dev/shm/e\0"u8.ToArray(), GetBytes(11));
        Assert.Equal(0, Call(SYS_rmdir, Text("../e")));
        Assert.Equal(-ENOENT, Call(SYS_getcwd, Output, 100));
        Assert.Equal(-ENOENT, Call(SYS_open, Text("x"), O_CREAT | O_RDWR, 0x1b6));
        Assert.Equal(0, Call(SYS_fchdir, here));
        Assert.Equal(-ENOTDIR, Call(SYS_fchdir, Create("f")));
        Assert.Equal(-EPERM, Call(SYS_chroot, Text("/dev")));
        Assert.Equal(0x12, Call(SYS_umask, 0xffff));
        Assert.Equal(0x1ff, Call(SYS_umask, 0));
    }

    [Fact]
    public void StatusCallsAgree()
    {
        Create("a", "hello");
        Assert.Equal(0, Call(SYS_symlink, Text("a"), Text("l")));
        Assert.Equal(0, Call(SYS_stat, Text("l"), Output));
        Assert.Equal((5L, (uint)S_IFREG), (Get<stat>().st_size, Get<stat>().st_mode & S_IFMT));
        ulong number = Get<stat>().st_ino;
        Assert.Equal(0, Call(SYS_lstat, Text("l"), Output));
        Assert.Equal((1L, (uint)S_IFLNK), (Get<stat>().st_size, Get<stat>().st_mode & S_IFMT));
        Assert.Equal(0, Call(SYS_statx, Cwd, Text("l"), 0, STATX_ALL, Output));
        Assert.Equal((5ul, number), (Get<statx>().stx_size, Get<statx>().stx_ino));
        Assert.NotEqual(0u, Get<statx>().stx_mask & STATX_BTIME);
        Assert.Equal(-EINVAL, Call(SYS_statx, Cwd, Text("l"), 0, STATX__RESERVED, Output));
        Assert.Equal(-EINVAL, Call(SYS_statx, Cwd, Text("l"), AT_STATX_SYNC_TYPE, 0, Output));
        Assert.Equal(1, Call(SYS_readlink, Text("l"), Output, 100));
        Assert.Equal(-EINVAL, Call(SYS_readlink, Text("a"), Output, 100));
        Assert.Equal(-EINVAL, Call(SYS_readlink, Text("l"), Output, 0));
        Assert.Equal(-EINVAL, Call(SYS_readlink, Text("l"), Output, uint.MaxValue));
        Assert.Equal(-ENOENT, Call(SYS_readlink, Text(""), Output, 10));
        Assert.Equal(0, Call(SYS_access, Text("a"), R_OK | W_OK));
        Assert.Equal(-EACCES, Call(SYS_access, Text("a"), X_OK));
        Assert.Equal(-EINVAL, Call(SYS_access, Text("a"), 8));
        Assert.Equal(-EROFS, Call(SYS_access, Text("/"), W_OK));
        Assert.Equal(0, Call(SYS_access, Text("/dev/null"), W_OK));
    }

    [Fact]
    public void Openat2ChecksWhatOpenatIgnores()
    {
        Create("a");
        long Open2(string path, ulong flags, ulong mode, ulong resolve, ulong size = 24) => Call(
            SYS_openat2, Cwd, Text(path), Place(new open_how { flags = flags, mode = mode, resolve = resolve }), size);

        Assert.InRange(Open2("a", O_RDONLY, 0, 0), 0, 63);
        Assert.Equal(-EINVAL, Open2("a", 1UL << 40, 0, 0));
        Assert.Equal(-EINVAL, Open2("a", O_RDONLY, 0x1b6, 0));
        Assert.Equal(-EINVAL, Open2("b", O_RDWR | O_CREAT, 0x10000, 0));
        Assert.Equal(-EINVAL, Open2("a", O_RDONLY, 0, 1UL << 30));
        Assert.Equal(-EINVAL, Open2("a", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
        Assert.Equal(-EINVAL, Open2("a", O_PATH | O_RDWR, 0, 0));
        Assert.Equal(-EINVAL, Open2("a", O_RDONLY, 0, 0, 16));
        Assert.Equal(-E2BIG, Open2("a", O_RDONLY, 0, 0, 5000));
        Assert.Equal(-EXDEV, Open2("../null", O_RDONLY, 0, RESOLVE_BENEATH));
        Assert.Equal(-EXDEV, Open2("/dev/null", O_RDONLY, 0, RESOLVE_BENEATH));
        Assert.InRange(Open2("/a", O_RDONLY, 0, RESOLVE_IN_ROOT), 0, 63);
        Assert.InRange(Open2("../../a", O_RDONLY, 0, RESOLVE_IN_ROOT), 0, 63);
        Assert.Equal(-EFAULT, Call(SYS_openat2, Cwd, Text("a"), Unmapped, 24));
        // A longer structure is fine while what is unknown in it is zero.
        byte[] longer = new byte[32];
        Assert.InRange(Call(SYS_openat2, Cwd, Text("a"), Place(longer), 32), 0, 63);
        longer[31] = 1;
        Assert.Equal(-E2BIG, Call(SYS_openat2, Cwd, Text("a"), Place(longer), 32));
    }

    [Fact]
    public void TimesAndLengthsAreChecked()
    {
        ulong fd = Create("a", "hello");
        Assert.Equal(0, Call(SYS_utimensat, Cwd, Text("a"), Place<(timespec, timespec)>(
            (new() { tv_sec = 7, tv_nsec = 9 }, new() { tv_nsec = UTIME_OMIT })), 0));
        Assert.Equal(0, Call(SYS_fstat, fd, Output));
        Assert.Equal((7ul, 9ul), (Get<stat>().st_atime, Get<stat>().st_atime_nsec));
        Assert.True(Get<stat>().st_mtime > 1_500_000_000);
        Assert.Equal(-EINVAL, Call(SYS_utimensat, Cwd, Text("a"), Place<(timespec, timespec)>(
            (new() { tv_nsec = 1_000_000_000 }, default)), 0));
        Assert.Equal(0, Call(SYS_utimensat, fd, 0, 0, 0));
        Assert.Equal(-EFAULT, Call(SYS_utimensat, Cwd, 0, 0, 0));
        Assert.Equal(-EINVAL, Call(SYS_ftruncate, fd, ulong.MaxValue));
        Assert.Equal(0, Call(SYS_truncate, Text("a"), 2));
        Assert.Equal(-EISDIR, Call(SYS_truncate, Text("."), 2));
        Assert.Equal(-EINVAL, Call(SYS_fallocate, fd, 0, 0, 0));
        Assert.Equal(-EFBIG, Call(SYS_fallocate, fd, 0, long.MaxValue, 2));
        Assert.Equal(-EOPNOTSUPP, Call(SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 0, 1));
        Assert.Equal(0, Call(SYS_fallocate, fd, 0, 0, 10000));
        Assert.Equal(0, Call(SYS_fstat, fd, Output));
        Assert.Equal((10000L, 24L), (Get<stat>().st_size, Get<stat>().st_blocks));
        Assert.Equal(0, Call(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192));
        Assert.Equal(0, Call(SYS_fstat, fd, Output));
        Assert.Equal((10000L, 8L), (Get<stat>().st_size, Get<stat>().st_blocks));
    }

    [Fact]
    public void CopyFileRangeMovesPositionsOrOffsets()
    {
        ulong from = Create("a", "0123456789"), to = Create("b");
        Assert.Equal(2, Call(SYS_lseek, from, 2, SEEK_SET));
        Assert.Equal(3, Call(SYS_copy_file_range, from, 0, to, 0, 3, 0));
        Assert.Equal(5, Call(SYS_lseek, from, 0, SEEK_CUR));
        Assert.Equal(3, Call(SYS_lseek, to, 0, SEEK_CUR));
        ulong offset = Place(8L);
        Assert.Equal(2, Call(SYS_copy_file_range, from, offset, to, 0, 100, 0));
        Assert.Equal(10, Get<long>(offset));
        Assert.Equal(5, Call(SYS_lseek, from, 0, SEEK_CUR));
        Assert.Equal(0, Call(SYS_lseek, to, 0, SEEK_SET));
        Assert.Equal(5, Call(SYS_read, to, Output, 100));
        Assert.Equal("23489"u8.ToArray(), GetBytes(5));
        Assert.Equal(-EINVAL, Call(SYS_copy_file_range, from, Place(0L), from, Place(1L), 5, 0));
        Assert.Equal(-EINVAL, Call(SYS_copy_file_range, from, 0, to, 0, 5, 1));
        Assert.Equal(-EISDIR, Call(
            SYS_copy_file_range, (ulong)Call(SYS_open, Text("."), 0, 0), 0, to, 0, 5, 0));
    }

    [Fact]
    public void LocksGoThroughFcntl()
    {
        ulong fd = Create("a", "0123456789");
        flock request = new() { l_type = F_WRLCK, l_whence = SEEK_SET, l_start = 2, l_len = 3 };
        Assert.Equal(0, Call(SYS_fcntl, fd, F_SETLK, Place(request)));
        Assert.Equal(-EINVAL, Call(SYS_fcntl, fd, F_OFD_SETLK, Place(request with { l_pid = 5 })));
        Assert.Equal(-EAGAIN, Call(SYS_fcntl, fd, F_OFD_SETLK, Place(request)));
        ulong probe = Place(request with { l_type = F_RDLCK, l_start = 0, l_len = 0 });
        Assert.Equal(0, Call(SYS_fcntl, fd, F_OFD_GETLK, probe));
        flock found = Get<flock>(probe);
        Assert.Equal((F_WRLCK, 2L, 3L, _thread.Process.Pid), (found.l_type, found.l_start, found.l_len, found.l_pid));
        Assert.Equal(-EINVAL, Call(SYS_fcntl, fd, F_SETLK, Place(request with { l_type = 9 })));
        Assert.Equal(-EFAULT, Call(SYS_fcntl, fd, F_SETLK, Unmapped));
        ulong reader = (ulong)Call(SYS_open, Text("a"), O_RDONLY, 0);
        Assert.Equal(-EBADF, Call(SYS_fcntl, reader, F_SETLK, Place(request)));
        // Closing any descriptor of the file ends the process's locks on it.
        Assert.Equal(0, Call(SYS_close, reader));
        Assert.Equal(0, Call(SYS_fcntl, fd, F_OFD_SETLK, Place(request)));
        Assert.Equal(-EINVAL, Call(SYS_flock, fd, 77));
        Assert.Equal(0, Call(SYS_flock, fd, LOCK_EX));
        ulong other = (ulong)Call(SYS_open, Text("a"), O_RDWR, 0);
        Assert.Equal(-EAGAIN, Call(SYS_flock, other, LOCK_SH | LOCK_NB));
        Assert.Equal(0, Call(SYS_close, fd));
        Assert.Equal(0, Call(SYS_flock, other, LOCK_SH | LOCK_NB));
    }

    [Fact]
    public void WhatNobodyMayDoIsRefused()
    {
        Assert.Equal(-EPERM, Call(SYS_mount, Text("none"), Text("/dev"), Text("tmpfs"), 0, 0));
        Assert.Equal(-EPERM, Call(SYS_umount2, Text("/dev"), 0));
        Assert.Equal(-EPERM, Call(SYS_mknod, Text("n"), S_IFCHR | 0x1b6, makedev(1, 3)));
        Assert.Equal(-EOPNOTSUPP, Call(SYS_name_to_handle_at, Cwd, Text("."), Output, Output, 0));
        Assert.Equal(-EOPNOTSUPP, Call(SYS_setxattr, Text("."), Text("user.x"), Output, 1, 0));
        Assert.Equal(-ENOENT, Call(SYS_setxattr, Text("none"), Text("user.x"), Output, 1, 0));
        Assert.Equal(0, Call(SYS_listxattr, Text("."), Output, 100));
    }

    public void Dispose() => _guest.Memory.Dispose();
}
