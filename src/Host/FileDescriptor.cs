using System.Runtime.InteropServices;
using System.Text;
using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>
/// An owned descriptor: closed once, by <see cref="SafeHandle.Dispose()"/> or, if leaked, by the finalizer. Its own
/// calls keep it open while they run, whatever other threads do; they answer a count or a negative error number,
/// -EINTR included, and do not allocate.
/// </summary>
public sealed unsafe class FileDescriptor : SafeHandle
{
    /// <summary>As an offset of preadv2(2) and pwritev2(2): the file's own position.</summary>
    private const long FilePosition = -1;

    /// <summary>An empty handle, for <see cref="Adopt"/>: allocated before the call that could leak a number.</summary>
#pragma warning disable CA1419 // For interop that creates handles by itself; here nothing does.
    internal FileDescriptor()
#pragma warning restore CA1419
        : base(-1, ownsHandle: true)
    {
    }

    /// <summary>Takes ownership of an open descriptor.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number is negative.</exception>
    public FileDescriptor(int fd)
        : this()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fd);
        SetHandle(fd);
    }

    public override bool IsInvalid => handle < 0;

    /// <summary>
    /// The number, for imports. It stays open while this object is reachable and not disposed: keep the object in a
    /// field that outlives the call, or end with <see cref="GC.KeepAlive"/>.
    /// </summary>
    /// <exception cref="ObjectDisposedException">It was closed: the number may be somebody else's by now.</exception>
    public int Value
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed || IsInvalid, this);
            return (int)handle;
        }
    }

    /// <summary>
    /// Opens a host path: openat2(2) with RESOLVE_NO_MAGICLINKS, so that no link of /proc leads past every name to what
    /// some process has open (ELOOP). O_CLOEXEC is always added.
    /// </summary>
    /// <exception cref="HostException">openat2 failed.</exception>
    public static FileDescriptor Open(string path, int flags, uint mode = 0, string? advice = null)
    {
        var result = TryOpen(path, flags, mode, out var file);
        return result == 0 ? file! : throw new HostException(-result, "open", path, advice);
    }

    /// <summary><see cref="Open"/>, which answers 0 or a negative error number.</summary>
    public static int TryOpen(string path, int flags, uint mode, out FileDescriptor? file) =>
        TryOpenAt(AT_FDCWD, ZeroEnded(path), flags, mode, RESOLVE_NO_MAGICLINKS, out file);

    /// <summary>
    /// Opens what is beneath a directory: openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS, so that neither
    /// the path nor a link leaves it (EXDEV, ELOOP). O_CLOEXEC is always added. Answers 0 or a negative error number.
    /// </summary>
    public static int TryOpenAt(
        FileDescriptor directory, string path, int flags, uint mode, out FileDescriptor? file) =>
        TryOpenAt(directory, ZeroEnded(path), flags, mode, out file);

    /// <inheritdoc cref="TryOpenAt(FileDescriptor, string, int, uint, out FileDescriptor?)"/>
    /// <param name="path">Ended by a zero byte.</param>
    public static int TryOpenAt(
        FileDescriptor directory, ReadOnlySpan<byte> path, int flags, uint mode, out FileDescriptor? file)
    {
        using var hold = new Hold(directory);
        return TryOpenAt(hold.Number, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, out file);
    }

    /// <summary>
    /// Opens what a link of /proc leads to, past every name: proc_pid_fd(5), proc_pid_ns(5). For paths that no caller
    /// chooses. O_CLOEXEC is always added. Answers 0 or a negative error number.
    /// </summary>
    public static int TryOpenMagicLink(string path, int flags, out FileDescriptor? file) =>
        TryOpenAt(AT_FDCWD, ZeroEnded(path), flags, 0, 0, out file);

    /// <summary>
    /// Why nothing can be opened on this host, whatever the path: openat2(2) is in Linux from 5.6 on, and the seccomp
    /// profiles of older container runtimes refuse it. Null where it is there. Other methods throw this instead of
    /// answering -ENOSYS or -EPERM for a path.
    /// </summary>
    public static HostException? OpeningRefused() => OpeningRefused(AT_FDCWD);

    /// <summary>
    /// Opens the same file anew, with a position and flags of its own; what O_PATH has only found becomes readable.
    /// Answers 0 or a negative error number.
    /// </summary>
    public int TryReopen(int flags, out FileDescriptor? file)
    {
        using var hold = new Hold(this);
        return TryOpenMagicLink($"/proc/self/fd/{hold.Number}", flags, out file);
    }

    /// <summary>An anonymous file in memory (memfd_create), closed on exec.</summary>
    /// <param name="name">Shown in /proc; at most 249 bytes.</param>
    /// <param name="flags">MFD_* beside MFD_CLOEXEC.</param>
    /// <param name="length">Its length in bytes, zero-filled and sparse.</param>
    /// <exception cref="HostException">memfd_create or ftruncate failed.</exception>
    public static FileDescriptor CreateMemory(string name, long length, uint flags = 0)
    {
        var file = new FileDescriptor();
        fixed (byte* text = ZeroEnded(name))
        {
            var fd = memfd_create(text, flags | MFD_CLOEXEC);
            if (fd < 0)
                throw HostException.Last("memfd_create", name);
            file.Adopt(fd);
        }
        if (length == 0 || ftruncate(file.Value, length) == 0)
            return file;
        var failure = HostException.Last("ftruncate", $"{name} to {length} bytes");
        file.Dispose();
        throw failure;
    }

    /// <summary>The ends of a new pipe, closed on exec: pipe2(2).</summary>
    /// <exception cref="HostException">pipe2 failed.</exception>
    public static (FileDescriptor Read, FileDescriptor Write) CreatePipe()
    {
        FileDescriptor read = new(), write = new();
        int* ends = stackalloc int[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            throw HostException.Last("pipe2");
        read.Adopt(ends[0]);
        write.Adopt(ends[1]);
        return (read, write);
    }

    /// <summary>A counter at 0 that never blocks: eventfd(2).</summary>
    /// <exception cref="HostException">eventfd failed.</exception>
    public static FileDescriptor CreateEvent()
    {
        var file = new FileDescriptor();
        var fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            throw HostException.Last("eventfd");
        file.Adopt(fd);
        return file;
    }

    /// <summary>Two connected stream sockets that never wait, closed on exec.</summary>
    /// <exception cref="HostException">socketpair failed.</exception>
    public static (FileDescriptor First, FileDescriptor Second) CreateStreams() =>
        CreatePair(SOCK_STREAM | SOCK_NONBLOCK);

    /// <summary>Two connected AF_UNIX sockets of a type, closed on exec.</summary>
    internal static (FileDescriptor First, FileDescriptor Second) CreatePair(int type)
    {
        var first = new FileDescriptor();
        var second = new FileDescriptor();
        int* fds = stackalloc int[2];
        if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0)
            throw HostException.Last("socketpair");
        first.Adopt(fds[0]);
        second.Adopt(fds[1]);
        return (first, second);
    }

    /// <summary>Another descriptor of the same open file, closed on exec.</summary>
    /// <exception cref="HostException">fcntl failed.</exception>
    public FileDescriptor Duplicate()
    {
        var copy = new FileDescriptor();
        using var hold = new Hold(this);
        var fd = fcntl(hold.Number, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            throw HostException.Last("fcntl", "F_DUPFD_CLOEXEC");
        copy.Adopt(fd);
        return copy;
    }

    /// <summary>As read(2), by preadv2(2): a count, 0 at the end, or a negative error number (-EINTR included).</summary>
    public nint Read(Span<byte> buffer) => Read(buffer, FilePosition, 0);

    /// <summary>write(2): a count or a negative error number. The count may be short.</summary>
    public nint Write(ReadOnlySpan<byte> buffer)
    {
        fixed (byte* data = buffer)
        {
            using var hold = new Hold(this);
            return Answer(write(hold.Number, data, (nuint)buffer.Length));
        }
    }

    /// <summary>As pread(2), by preadv2(2): a count, 0 at the end, or a negative error number.</summary>
    public nint ReadAt(Span<byte> buffer, long offset) => offset < 0 ? -EINVAL : Read(buffer, offset, 0);

    /// <summary>As pwrite(2), by pwritev2(2): a count or a negative error number.</summary>
    public nint WriteAt(ReadOnlySpan<byte> buffer, long offset) => offset < 0 ? -EINVAL : Write(buffer, offset, 0);

    /// <summary>Reads what is there (RWF_NOWAIT): -EAGAIN instead of waiting, -EOPNOTSUPP where no one can tell.</summary>
    public nint ReadAtOnce(Span<byte> buffer) => Read(buffer, FilePosition, RWF_NOWAIT);

    /// <summary>Writes what there is room for, as <see cref="ReadAtOnce"/>.</summary>
    public nint WriteAtOnce(ReadOnlySpan<byte> buffer) => Write(buffer, FilePosition, RWF_NOWAIT);

    /// <summary>Writes at the file's end, wherever that is by then, and leaves the position there (RWF_APPEND).</summary>
    public nint Append(ReadOnlySpan<byte> buffer) => Write(buffer, FilePosition, RWF_APPEND);

    // One call for all ways to read and one for all to write: filters know their flags.
    private nint Read(Span<byte> buffer, long offset, int flags)
    {
        fixed (byte* data = buffer)
        {
            using var hold = new Hold(this);
            iovec vector = new() { iov_base = data, iov_len = (nuint)buffer.Length };
            return Answer(preadv2(hold.Number, &vector, 1, offset, flags));
        }
    }

    private nint Write(ReadOnlySpan<byte> buffer, long offset, int flags)
    {
        fixed (byte* data = buffer)
        {
            using var hold = new Hold(this);
            iovec vector = new() { iov_base = data, iov_len = (nuint)buffer.Length };
            return Answer(pwritev2(hold.Number, &vector, 1, offset, flags));
        }
    }

    /// <summary>lseek(2): the new position or a negative error number.</summary>
    public long Seek(long offset, int whence)
    {
        using var hold = new Hold(this);
        var position = lseek(hold.Number, offset, whence);
        return position >= 0 ? position : -errno;
    }

    /// <summary>As fstat(2), by statx(2), so that filters need one of them: 0 or a negative error number.</summary>
    public int GetStatus(out stat status)
    {
        statx full;
        byte nameless = 0;
        using var hold = new Hold(this);
        if (statx(hold.Number, &nameless, AT_EMPTY_PATH, STATX_BASIC_STATS, &full) != 0)
        {
            status = default;
            return -errno;
        }
        status = ToStat(full);
        return 0;
    }

    /// <summary>ioctl(2): its answer or a negative error number.</summary>
    public int Control(nuint request, void* argument = null)
    {
        using var hold = new Hold(this);
        var result = ioctl(hold.Number, request, argument);
        return result >= 0 ? result : -errno;
    }

    protected override bool ReleaseHandle() => close((int)handle) == 0;

    /// <summary>Takes ownership without allocating: nothing can fail between the kernel's answer and here.</summary>
    internal void Adopt(int fd) => SetHandle(fd);

    internal static byte[] ZeroEnded(string text)
    {
        // A zero inside would silently name another file.
        if (text.Contains('\0'))
            throw new ArgumentException("a path cannot contain a zero byte", nameof(text));
        var bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }

    private static int TryOpenAt(
        int directory, ReadOnlySpan<byte> path, int flags, uint mode, ulong resolve, out FileDescriptor? file)
    {
        file = null;
        var handle = new FileDescriptor();
        // openat2 takes a mode with a new file only.
        const int makes = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);
        open_how how = new()
        {
            flags = (uint)(flags | O_CLOEXEC), mode = (flags & makes) != 0 ? mode : 0, resolve = resolve,
        };
        fixed (byte* text = path)
        {
            var fd = openat2(directory, text, &how, (nuint)sizeof(open_how));
            if (fd < 0)
            {
                var error = errno;
                return error is ENOSYS or EPERM && OpeningRefused(directory) is HostException refused
                    ? throw refused
                    : -error;
            }
            handle.Adopt(fd);
        }
        file = handle;
        return 0;
    }

    /// <param name="directory">One that this thread's filter lets it use.</param>
    private static HostException? OpeningRefused(int directory)
    {
        // Flags that there are not: the kernel looks at them before it looks at a path.
        open_how how = new() { flags = ulong.MaxValue };
        fixed (byte* nowhere = "\0"u8)
            return openat2(directory, nowhere, &how, (nuint)sizeof(open_how)) < 0 && errno is ENOSYS or EPERM
                ? HostException.Last("openat2", advice:
                    "this kernel is older than 5.6, or this container's seccomp profile refuses the call; update the "
                    + "kernel or the container runtime (Docker: 20.10 or later), or run with a profile that allows "
                    + "openat2")
                : null;
    }

    private static nint Answer(nint result) => result >= 0 ? result : -errno;

    // Counts a user of the number, so that neither Dispose nor the finalizer closes it under a running call.
    internal readonly ref struct Hold
    {
        private readonly FileDescriptor _owner;

        public Hold(FileDescriptor owner)
        {
            var held = false;
            owner.DangerousAddRef(ref held);
            _owner = owner;
        }

        public int Number => (int)_owner.handle;

        public void Dispose() => _owner.DangerousRelease();
    }
}
