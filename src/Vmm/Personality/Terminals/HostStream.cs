using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>
/// A stream that the guest was started with: standard input, output or error on a descriptor of the host. The host's
/// open file is shared with others, so its flags are never changed and its offset is the one that is used; a call
/// that would have to wait answers -EAGAIN, and the <see cref="HostPoller"/> tells when to try again.
/// </summary>
public sealed unsafe class HostStream : OpenFile
{
    /// <summary>What a pipe that poll(2) calls writable takes without blocking: PIPE_BUF.</summary>
    private const int SafeWrite = 4096;

    private enum Kind
    {
        /// <summary>A regular file or block device: never waits, has an offset.</summary>
        Seekable,
        Pipe,
        Socket,
        /// <summary>A terminal, /dev/null, or another character device.</summary>
        Character,
    }

    private readonly FileDescriptor _file;
    private readonly AnonymousInode _inode;
    private readonly OutputLimit? _output;
    private readonly WaitQueue _waiters = new();
    private readonly HostPoller.Registration? _readiness;
    private readonly Kind _kind;
    private readonly ulong _device;
    private bool _noWaitRefused;

    /// <param name="file">Stays the caller's: the plan's descriptor lives as long as the VMM.</param>
    /// <param name="output">Null for a stream that is only read.</param>
    /// <param name="onReady">Called in the poller's thread when a wait that a call began is over.</param>
    /// <exception cref="HostException">The descriptor is not one.</exception>
    public HostStream(
        FileDescriptor file, AnonymousInode inode, HostPoller poller, OutputLimit? output,
        Action<PollEvents>? onReady = null)
        : base(AccessFlags(file))
    {
        _file = file;
        _inode = inode;
        _output = output;
        int error = file.GetStatus(out stat status);
        if (error < 0)
            throw new HostException(-error, "fstat", "a standard stream");
        _device = status.st_rdev;
        _kind = (status.st_mode & S_IFMT) switch
        {
            S_IFREG or S_IFBLK or S_IFDIR => Kind.Seekable,
            S_IFIFO => Kind.Pipe,
            S_IFSOCK => Kind.Socket,
            _ => Kind.Character,
        };
        // Devices without a poll method (/dev/null) are always ready, as regular files are; epoll refuses both.
        if (_kind is Kind.Pipe or Kind.Socket || (_kind == Kind.Character && CanWaitFor(file)))
            _readiness = poller.Register(file, _waiters, onReady);
    }

    private static int AccessFlags(FileDescriptor file)
    {
        int flags = fcntl(file.Value, F_GETFL, 0);
        return flags < 0 ? throw HostException.Last("fcntl", "F_GETFL") : flags & (O_ACCMODE | O_APPEND);
    }

    private static bool CanWaitFor(FileDescriptor file)
    {
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        if (epoll < 0)
            throw HostException.Last("epoll_create1", "");
        using FileDescriptor probe = new(epoll);
        epoll_event none = default;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, file.Value, &none) == 0)
            return true;
        return errno == EPERM ? false : throw HostException.Last("epoll_ctl", "EPOLL_CTL_ADD");
    }

    public override string DisplayName => _kind switch
    {
        Kind.Pipe => $"pipe:[{_inode.Number}]",
        Kind.Socket => $"socket:[{_inode.Number}]",
        Kind.Character when _device == makedev(1, 3) => "/dev/null",
        _ => $"stream:[{_inode.Number}]",
    };

    public override WaitQueue? Waiters => _readiness is null ? null : _waiters;

    public override long Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty)
            return 0;
        long result = TryRead(buffer);
        if (_readiness is null)
            return result;
        if (result == -EAGAIN || (result > 0 && !_waiters.IsEmpty))
            _readiness.Arm(PollEvents.In);
        return result;
    }

    private long TryRead(Span<byte> buffer)
    {
        if (_kind == Kind.Socket)
            fixed (byte* data = buffer)
                return Retry(recv(_file.Value, data, (nuint)buffer.Length, MSG_DONTWAIT));
        if (_readiness is null)
            return _file.Read(buffer);
        if (!_noWaitRefused)
        {
            long result = _file.ReadAtOnce(buffer);
            if (result != -EOPNOTSUPP)
                return result == -EINTR ? -EAGAIN : result;
            _noWaitRefused = true;
        }
        // Older kernels, and terminals on all: there is something to read, unless another reader is quicker.
        return (HostPoll(POLLIN) & (POLLIN | POLLHUP | POLLERR)) == 0 ? -EAGAIN : _file.Read(buffer);
    }

    public override long Write(ReadOnlySpan<byte> buffer)
    {
        if (buffer.IsEmpty)
            return 0;
        int granted = _output is null ? buffer.Length : _output.Take(buffer.Length);
        if (granted == 0)
        {
            _output!.Exceeded();
            return -EPIPE;
        }
        long result = TryWrite(buffer[..granted]);
        _output?.GiveBack(granted - (int)Math.Max(result, 0));
        if (result == granted && granted < buffer.Length)
            _output!.Exceeded();
        if (_readiness is not null && (result == -EAGAIN || (result > 0 && !_waiters.IsEmpty)))
            _readiness.Arm(PollEvents.Out);
        return result;
    }

    private long TryWrite(ReadOnlySpan<byte> buffer)
    {
        if (_kind == Kind.Socket)
            fixed (byte* data = buffer)
                return Retry(send(_file.Value, data, (nuint)buffer.Length, MSG_DONTWAIT | MSG_NOSIGNAL));
        if (_kind == Kind.Seekable && (StatusFlags & O_APPEND) != 0)
            return _file.Append(buffer);
        if (_readiness is null)
            return _file.Write(buffer);
        if (!_noWaitRefused)
        {
            long result = _file.WriteAtOnce(buffer);
            if (result != -EOPNOTSUPP)
                return result == -EINTR ? -EAGAIN : result;
            _noWaitRefused = true;
        }
        short ready = HostPoll(POLLOUT);
        if ((ready & POLLERR) != 0)
            return _file.Write(buffer[..1]);
        if ((ready & POLLOUT) == 0)
            return -EAGAIN;
        return _file.Write(buffer[..Math.Min(buffer.Length, SafeWrite)]);
    }

    private static long Retry(nint result) => result >= 0 ? result : errno == EINTR ? -EAGAIN : -errno;

    private short HostPoll(short events)
    {
        pollfd one = new() { fd = _file.Value, events = events };
        return poll(&one, 1, 0) < 0 ? (short)0 : one.revents;
    }

    public override long ReadAt(Span<byte> buffer, long offset) =>
        _kind == Kind.Seekable ? _file.ReadAt(buffer, offset) : -ESPIPE;

    public override long WriteAt(ReadOnlySpan<byte> buffer, long offset)
    {
        if (_kind != Kind.Seekable)
            return -ESPIPE;
        int granted = _output is null ? buffer.Length : _output.Take(buffer.Length);
        if (granted < buffer.Length)
            _output!.Exceeded();
        long result = _file.WriteAt(buffer[..granted], offset);
        _output?.GiveBack(granted - (int)Math.Max(result, 0));
        return result;
    }

    public override long Seek(long offset, int whence) =>
        _kind == Kind.Seekable ? HostCalls.Seek(_file, offset, whence) : -ESPIPE;

    public override PollEvents Poll()
    {
        PollEvents always = (CanRead ? PollEvents.Readable : 0) | (CanWrite ? PollEvents.Writable : 0);
        if (_readiness is null)
            return always;
        PollEvents ready = (PollEvents)(ushort)HostPoll((short)(ushort)(always | PollEvents.ReadHangUp));
        // What is not ready now is what somebody may be about to wait for.
        PollEvents missing = always & ~ready & (PollEvents.In | PollEvents.Out);
        if (missing != PollEvents.None && (ready & PollEvents.HangUp) == 0)
            _readiness.Arm(missing);
        return ready;
    }

    public override long GetStatus(out stat status)
    {
        long error = _file.GetStatus(out stat host);
        if (error < 0)
        {
            status = default;
            return error;
        }
        // The guest learns what kind of file it is and how long, not whose or where.
        status = _inode.Status(host.st_mode, host.st_blksize);
        if (_kind == Kind.Seekable)
        {
            status.st_size = host.st_size;
            status.st_blocks = host.st_blocks;
            (status.st_mtime, status.st_mtime_nsec) = (host.st_mtime, host.st_mtime_nsec);
        }
        if (_kind == Kind.Character && _device == makedev(1, 3))
            status.st_rdev = _device;
        return 0;
    }

    public override long Synchronize(bool dataOnly) =>
        _kind != Kind.Seekable ? -EINVAL : fdatasync(_file.Value) == 0 ? 0 : -errno;

    public override long Ioctl(GuestThread thread, uint request, ulong argument)
    {
        if (request != FIONREAD || !CanRead || _kind == Kind.Character)
            return -ENOTTY;
        int count = 0;
        int error = _file.Control(FIONREAD, &count);
        if (error < 0)
            return error;
        return thread.Memory.TryWrite(new VirtualAddress(argument), count) ? 0 : -EFAULT;
    }
}
