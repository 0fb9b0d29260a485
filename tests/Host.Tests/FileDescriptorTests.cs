using System.Runtime.CompilerServices;
using System.Text;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Host.Tests;

[Collection(nameof(Alone))]
public unsafe class FileDescriptorTests
{
    [Fact]
    public void Zero_is_a_valid_descriptor()
    {
        // Adopted and given up again: the test run keeps its standard input.
        var zero = new FileDescriptor(0);
        Assert.False(zero.IsInvalid);
        Assert.Equal(0, zero.Value);
        zero.SetHandleAsInvalid();
        GC.SuppressFinalize(zero);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    public void A_negative_number_is_refused(int fd) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new FileDescriptor(fd));

    [Fact]
    public void Dispose_closes_once()
    {
        var file = FileDescriptor.CreateMemory("once", 0);
        var number = file.Value;
        Assert.True(IsOpen(number));
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Value);
        Assert.Throws<ObjectDisposedException>(() => file.Read(new byte[1]));
        // The number may have a new owner by now; a second Dispose must not touch it.
        var next = FileDescriptor.CreateMemory("next", 0);
        file.Dispose();
        Assert.True(IsOpen(next.Value));
        next.Dispose();
    }

    [Fact]
    public void A_leaked_descriptor_is_closed_by_the_finalizer()
    {
        var (device, inode) = Leak();
        for (var i = 0; i < 20 && HasOpen(device, inode); i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.False(HasOpen(device, inode));
    }

    [Fact]
    public void Dispose_waits_for_a_running_call()
    {
        var pair = SeqpacketChannel.CreatePair();
        using var second = pair.Second;
        var first = pair.First;
        var number = first.Value;
        using var started = new ManualResetEventSlim();
        nint answer = 0;
        var reader = new Thread(() =>
        {
            started.Set();
            answer = first.Read(new byte[8]);
        });
        reader.Start();
        started.Wait(TestContext.Current.CancellationToken);
        Thread.Sleep(50);
        first.Dispose();
        Assert.True(IsOpen(number));
        Assert.Equal(3, second.Write("abc"u8));
        reader.Join();
        Assert.Equal(3, answer);
        Assert.False(IsOpen(number));
    }

    [Fact]
    public void Descriptors_are_closed_on_exec()
    {
        using var memory = FileDescriptor.CreateMemory("exec", 0);
        using var copy = memory.Duplicate();
        using var opened = FileDescriptor.Open("/dev/null", O_RDONLY);
        Assert.All(new[] { memory, copy, opened }, file =>
            Assert.Equal(FD_CLOEXEC, fcntl(file.Value, F_GETFD, (nint)0)));
    }

    [Fact]
    public void Read_and_write_answer_counts_and_negative_errors()
    {
        using var file = FileDescriptor.CreateMemory("data", 4);
        Assert.Equal(4, file.WriteAt("abcd"u8, 0));
        var buffer = new byte[8];
        Assert.Equal(4, file.ReadAt(buffer, 0));
        Assert.Equal("abcd", Encoding.ASCII.GetString(buffer, 0, 4));
        Assert.Equal(0, file.ReadAt(buffer, 4));
        Assert.Equal(-EINVAL, file.ReadAt(buffer, -1));
        Assert.Equal(2, file.Seek(-2, SEEK_END));
        Assert.Equal(2, file.Read(buffer));
        Assert.Equal(-EINVAL, file.Seek(-1, SEEK_SET));
        Assert.Equal(0, file.GetStatus(out var status));
        Assert.Equal(4, status.st_size);
        Assert.Equal(-ENOTTY, file.Control(TIOCGWINSZ));
        using var readOnly = FileDescriptor.Open("/dev/null", O_RDONLY);
        Assert.Equal(-EBADF, readOnly.Write("x"u8));
    }

    [Fact]
    public void A_missing_path_is_a_host_exception_with_its_name()
    {
        var failure = Assert.Throws<HostException>(() => FileDescriptor.Open("/no/such/path", O_RDONLY));
        Assert.Equal((ENOENT, "open", "/no/such/path"), (failure.Errno, failure.Call, failure.Subject));
    }

    [Fact]
    public void A_path_with_a_zero_byte_is_refused() =>
        Assert.Throws<ArgumentException>(() => FileDescriptor.Open("/dev/null\0/etc/passwd", O_RDONLY));

    [Fact]
    public void Opening_below_a_directory_answers_a_negative_error()
    {
        using var directory = FileDescriptor.Open("/dev", O_PATH | O_DIRECTORY);
        Assert.Equal(0, FileDescriptor.TryOpenAt(directory, "null", O_RDONLY, 0, out var file));
        file!.Dispose();
        Assert.Equal(-ENOENT, FileDescriptor.TryOpenAt(directory, "no-such-device", O_RDONLY, 0, out var none));
        Assert.Null(none);
    }

    [Fact]
    public void What_a_directory_holds_is_opened_and_nothing_beside_it()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("beneath");
        File.WriteAllText(Path.Combine(folder.FullName, "file"), "inside");
        File.CreateSymbolicLink(Path.Combine(folder.FullName, "link"), "file");
        File.CreateSymbolicLink(Path.Combine(folder.FullName, "away"), "/");
        using var directory = FileDescriptor.Open(folder.FullName, O_PATH | O_DIRECTORY);
        foreach (string name in new[] { "file", "link" })
        {
            Assert.Equal(0, FileDescriptor.TryOpenAt(directory, name, O_RDONLY, 0x1ff, out var file));
            file!.Dispose();
        }
        Assert.Equal(-ELOOP, FileDescriptor.TryOpenAt(directory, "link", O_RDONLY | O_NOFOLLOW, 0, out _));
        Assert.Equal(-EXDEV, FileDescriptor.TryOpenAt(directory, "away/etc", O_PATH, 0, out _));
        Assert.Equal(-EXDEV, FileDescriptor.TryOpenAt(directory, "../etc", O_PATH, 0, out _));
        Assert.Equal(-EXDEV, FileDescriptor.TryOpenAt(directory, "/etc", O_PATH, 0, out _));
        folder.Delete(recursive: true);
    }

    [Fact]
    public void A_link_of_proc_to_an_open_file_is_followed_when_asked_only()
    {
        using var memory = FileDescriptor.CreateMemory("magic", 4);
        Assert.Equal(4, memory.WriteAt("abcd"u8, 0));
        string path = $"/proc/self/fd/{memory.Value}";
        Assert.Equal(-ELOOP, FileDescriptor.TryOpen(path, O_RDONLY, 0, out var none));
        Assert.Equal(-ELOOP, FileDescriptor.TryOpen("/proc/self/root/etc", O_PATH, 0, out none));
        Assert.Null(none);
        Assert.Equal(0, FileDescriptor.TryOpenMagicLink(path, O_RDONLY, out var followed));
        followed!.Dispose();
        Assert.Equal(0, memory.TryReopen(O_RDONLY, out var anew));
        using (anew)
        {
            Assert.Equal(-EBADF, anew!.Write("x"u8));
            Assert.Equal(4, anew.Read(new byte[8]));
        }
        Assert.Equal(0, memory.Seek(0, SEEK_CUR));
    }

    [Fact]
    public void A_new_file_has_its_mode()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("mode");
        string path = Path.Combine(folder.FullName, "file");
        using (var named = FileDescriptor.Open(path, O_WRONLY | O_CREAT | O_EXCL, 0x100))
        using (var nameless = FileDescriptor.Open(folder.FullName, O_WRONLY | O_TMPFILE, 0x100))
            Assert.All(new[] { named, nameless }, file =>
            {
                Assert.Equal(0, file.GetStatus(out var status));
                Assert.Equal(0x100u, status.st_mode & 0xfff);
            });
        folder.Delete(recursive: true);
    }

    [Fact]
    public void A_size_that_no_file_can_have_is_a_host_exception()
    {
        var failure = Assert.Throws<HostException>(() => FileDescriptor.CreateMemory("huge", -1));
        Assert.Equal(("ftruncate", EINVAL), (failure.Call, failure.Errno));
    }

    [Fact]
    public void Calls_do_not_allocate()
    {
        using var file = FileDescriptor.CreateMemory("hot", 64);
        Span<byte> buffer = stackalloc byte[64];
        // The first round compiles and binds the imports.
        long allocated = 0;
        for (var round = 0; round < 2; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 10_000; i++)
            {
                file.ReadAt(buffer, 0);
                file.Control(TIOCGWINSZ);
            }
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Assert.Equal(0, allocated);
    }

    internal static bool IsOpen(int fd) => fcntl(fd, F_GETFD, (nint)0) >= 0;

    /// <summary>What statx(2) says is put into stat(2)'s structure byte for byte as fstat(2) does it.</summary>
    [Theory]
    [InlineData("/proc/self/exe", O_RDONLY)]
    [InlineData("/usr", O_RDONLY)]
    [InlineData("/usr", O_PATH)]
    [InlineData("/dev/null", O_RDWR)]
    [InlineData("/proc/self/stat", O_RDONLY)]
    public void The_status_is_that_of_fstat(string path, int flags)
    {
        Assert.Equal(0, FileDescriptor.TryOpenMagicLink(path, flags, out var file));
        using (file)
            AssertStatus(file!);
    }

    [Fact]
    public void The_status_of_what_has_no_name_is_that_of_fstat()
    {
        using var memory = FileDescriptor.CreateMemory("status", 12345);
        AssertStatus(memory);
        using var counter = FileDescriptor.CreateEvent();
        AssertStatus(counter);
        var (first, second) = FileDescriptor.CreateStreams();
        using (second)
        using (first)
            AssertStatus(first);
    }

    private static void AssertStatus(FileDescriptor file)
    {
        stat expected;
        Assert.Equal(0, syscall(SYS_fstat, file.Value, (nint)(&expected)));
        Assert.Equal(0, file.GetStatus(out var status));
        Assert.Equal(new Span<byte>(&expected, sizeof(stat)), new Span<byte>(&status, sizeof(stat)));
    }

    internal static int CountOpen() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (ulong Device, ulong Inode) Leak()
    {
        var file = FileDescriptor.CreateMemory("leak", 0);
        Assert.Equal(0, file.GetStatus(out var status));
        return (status.st_dev, status.st_ino);
    }

    private static bool HasOpen(ulong device, ulong inode)
    {
        for (var fd = 0; fd < 4096; fd++)
        {
            stat status;
            if (syscall(SYS_fstat, fd, (nint)(&status)) == 0 && status.st_dev == device && status.st_ino == inode)
                return true;
        }
        return false;
    }
}
