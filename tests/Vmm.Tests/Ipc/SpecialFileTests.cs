using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>FIFOs and terminals by their names in the file tree.</summary>
public sealed class SpecialFileTests : IDisposable
{
    private const ulong Data = DirectGuest.Data, Name = DirectGuest.Data + 0x3000;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private long Call(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0) =>
        _guest.Call(number, a0, a1, a2, a3, a4, a5);

    private void Path(string path) => _guest.Write(Name, [.. Encoding.UTF8.GetBytes(path), 0]);

    private long Open(string path, int flags)
    {
        Path(path);
        return Call(SYS_openat, unchecked((ulong)AT_FDCWD), Name, (ulong)flags);
    }

    [Fact]
    public void A_fifo_joins_those_who_open_it()
    {
        Path("/tmp/fifo");
        Assert.Equal(0, Call(SYS_mknodat, unchecked((ulong)AT_FDCWD), Name, S_IFIFO | 0x180, 0));
        Assert.Equal(-ENXIO, Open("/tmp/fifo", O_WRONLY | O_NONBLOCK));
        PendingCall reading = _guest.CallAside(SYS_openat, unchecked((ulong)AT_FDCWD), Name, O_RDONLY);
        Assert.True(reading.IsWaiting(50));
        // The waiting reader is there: a writer need not wait.
        ulong writer = (ulong)Open("/tmp/fifo", O_WRONLY | O_NONBLOCK);
        ulong reader = (ulong)reading.Result();
        Assert.Equal(3, Call(SYS_write, writer, Data, 3));
        Assert.Equal(3, Call(SYS_read, reader, Data, 10));
        Assert.Equal(0, Call(SYS_close, writer));
        Assert.Equal(0, Call(SYS_read, reader, Data, 10));
        // Opened again, it has a writer again.
        writer = (ulong)Open("/tmp/fifo", O_WRONLY);
        Assert.Equal(1, Call(SYS_write, writer, Data, 1));
        Assert.Equal(0, Call(SYS_close, reader));
        Assert.Equal(0, Call(SYS_close, writer));
        Assert.Equal(0, _guest.Personality.KernelMemory.Used);
        // What nobody read is gone.
        reader = (ulong)Open("/tmp/fifo", O_RDONLY | O_NONBLOCK);
        Assert.Equal(0, Call(SYS_read, reader, Data, 10));
    }

    [Fact]
    public void A_signal_ends_the_wait_for_the_other_end()
    {
        Path("/tmp/fifo");
        Call(SYS_mknodat, unchecked((ulong)AT_FDCWD), Name, S_IFIFO | 0x180, 0);
        _guest.Thread.SetWork(ThreadWork.Signal);
        Assert.Equal(Personality.SystemCalls.Restart.System, Open("/tmp/fifo", O_WRONLY));
        Assert.Equal(0, _guest.Personality.KernelMemory.Used);
    }

    [Fact]
    public void A_pipe_can_be_opened_again_through_proc()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        long again = Open($"/proc/self/fd/{reader}", O_WRONLY | O_NONBLOCK);
        Assert.True(again >= 0, $"{again}");
        Assert.Equal(O_WRONLY | O_NONBLOCK, Call(SYS_fcntl, (ulong)again, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
        Assert.Equal(0, Call(SYS_close, writer));
        Assert.Equal(2, Call(SYS_write, (ulong)again, Data, 2));
        Assert.Equal(2, Call(SYS_read, reader, Data, 10));
        Assert.Equal(0, Call(SYS_close, (ulong)again));
        Assert.Equal(0, Call(SYS_read, reader, Data, 10));
        Assert.Equal(0, Call(SYS_close, reader));
        Assert.Equal(0, _guest.Personality.KernelMemory.Used);
    }

    [Fact]
    public void What_is_opened_again_is_charged_each_time()
    {
        KernelMemory memory = _guest.Personality.KernelMemory;
        (ulong reader, _) = _guest.Pipe();
        Path("/tmp/fifo");
        Assert.Equal(0, Call(SYS_mknodat, unchecked((ulong)AT_FDCWD), Name, S_IFIFO | 0x180, 0));
        Assert.True(Open("/tmp/fifo", O_RDWR) >= 0);
        (ulong master, ulong slave) = OpenTerminal();
        foreach (Func<long> again in (Func<long>[])[
            () => Open($"/proc/self/fd/{reader}", O_RDONLY), () => Open("/tmp/fifo", O_RDWR),
            () => Open("/dev/pts/0", O_RDWR | O_NOCTTY), () => Open($"/proc/self/fd/{slave}", O_RDWR | O_NOCTTY),
            () => Call(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY)])
        {
            long before = memory.Used;
            long descriptor = again();
            Assert.True(descriptor >= 0, $"{descriptor}");
            Assert.Equal(KernelMemory.ObjectCost, memory.Used - before);
            Assert.Equal(0, Call(SYS_close, (ulong)descriptor));
            Assert.Equal(before, memory.Used);
            long rest = memory.Limit - before;
            Assert.True(memory.TryReserve(rest));
            Assert.Equal(-ENFILE, again());
            memory.Release(rest);
            Assert.Equal(before, memory.Used);
        }
        Assert.Equal(0, Call(SYS_close_range, 0, uint.MaxValue, 0));
        Assert.Equal(0, memory.Used);
    }

    [Fact]
    public void A_terminal_is_opened_again_for_what_it_is_open_for()
    {
        (_, ulong slave) = OpenTerminal();
        Assert.True(Open($"/proc/self/fd/{slave}", O_RDWR | O_NOCTTY) >= 0);
        ulong reader = (ulong)Open("/dev/pts/0", O_RDONLY | O_NOCTTY);
        Assert.True(Open($"/proc/self/fd/{reader}", O_RDONLY | O_NOCTTY) >= 0);
        Assert.Equal(-EACCES, Open($"/proc/self/fd/{reader}", O_RDWR | O_NOCTTY));
    }

    /// <summary>As files have: make(1) with -O takes turns by a lock on its output.</summary>
    [Fact]
    public void Pipes_and_terminals_can_be_locked()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        (_, ulong slave) = OpenTerminal();
        foreach ((ulong file, string other) in ((ulong, string)[])[(writer, $"/proc/self/fd/{reader}"), (slave, "/dev/pts/0")])
        {
            ulong again = (ulong)Open(other, O_RDWR | O_NOCTTY);
            _guest.Write(Data, new flock { l_type = F_WRLCK, l_whence = SEEK_CUR, l_len = 1 });
            Assert.Equal(0, Call(SYS_fcntl, file, F_SETLKW, Data));
            Assert.Equal(-EAGAIN, Call(SYS_fcntl, again, F_OFD_SETLK, Data));
            // The first close of any descriptor of the file ends the process's.
            Assert.Equal(0, Call(SYS_close, (ulong)Call(SYS_dup, again)));
            Assert.Equal(0, Call(SYS_fcntl, again, F_OFD_SETLK, Data));
            Assert.Equal(-EAGAIN, Call(SYS_fcntl, file, F_SETLK, Data));
            Assert.Equal(0, Call(SYS_flock, again, LOCK_EX));
            Assert.Equal(-EAGAIN, Call(SYS_flock, file, LOCK_EX | LOCK_NB));
            Assert.Equal(0, Call(SYS_close, again));
            Assert.Equal(0, Call(SYS_fcntl, file, F_SETLK, Data));
            Assert.Equal(0, Call(SYS_flock, file, LOCK_EX | LOCK_NB));
        }
        // One end cannot be locked for what it is not open for.
        Assert.Equal(-EBADF, Call(SYS_fcntl, reader, F_SETLK, Data));
    }

    [Fact]
    public void A_file_ends_at_the_size_limit()
    {
        _guest.Thread.Process.Limits.Set(RLIMIT_FSIZE, 100, 100);
        _guest.Thread.Process.Actions[SIGXFSZ].sa_handler = 0x1000;
        ulong file = (ulong)Open("/tmp/file", O_RDWR | O_CREAT);
        Assert.Equal(60, Call(SYS_write, file, Data, 60));
        Assert.Equal(40, Call(SYS_write, file, Data, 60));
        Assert.Equal(0UL, _guest.Thread.PendingSet);
        Assert.Equal(0, Call(SYS_write, file, Data, 0));
        Assert.Equal(-EFBIG, Call(SYS_write, file, Data, 1));
        Assert.Equal(Personality.Signals.SignalSet.Of(SIGXFSZ), _guest.Thread.PendingSet);
        Assert.Equal(10, Call(SYS_pwrite64, file, Data, 60, 90));
        Assert.Equal(-EFBIG, Call(SYS_pwrite64, file, Data, 60, 100));
        (_, ulong writer) = _guest.Pipe();
        Assert.Equal(1000, Call(SYS_write, writer, Data, 1000));
    }

    private (ulong Master, ulong Slave) OpenTerminal()
    {
        ulong master = (ulong)Open("/dev/ptmx", O_RDWR | O_NOCTTY);
        Assert.Equal(0, Call(SYS_ioctl, master, TIOCGPTN, Data));
        Assert.Equal(0, _guest.Read<int>(Data));
        Assert.Equal(-EIO, Open("/dev/pts/0", O_RDWR | O_NOCTTY));
        _guest.Write(Data, 0);
        Assert.Equal(0, Call(SYS_ioctl, master, TIOCSPTLCK, Data));
        return (master, (ulong)Open("/dev/pts/0", O_RDWR | O_NOCTTY));
    }

    [Fact]
    public void A_pseudo_terminal_has_two_sides()
    {
        (ulong master, ulong slave) = OpenTerminal();
        _guest.Write(Data, "hi\n"u8);
        Assert.Equal(3, Call(SYS_write, master, Data, 3));
        Assert.Equal(3, Call(SYS_read, slave, Data, 100));
        Assert.Equal(4, Call(SYS_read, master, Data, 100));
        Assert.Equal("hi\r\n"u8, _guest.Read(Data, 4));
        Assert.Equal(0, Call(SYS_ioctl, slave, TCGETS, Data));
        _guest.Write(Data, new winsize { ws_row = 25, ws_col = 80 });
        Assert.Equal(0, Call(SYS_ioctl, master, TIOCSWINSZ, Data));
        Assert.Equal(0, Call(SYS_ioctl, slave, TIOCGWINSZ, Data + 64));
        Assert.Equal(80, _guest.Read<winsize>(Data + 64).ws_col);
        Assert.Equal(0, Call(SYS_fstat, slave, Data));
        Assert.Equal(makedev(136, 0), _guest.Read<stat>(Data).st_rdev);
        Path("/dev/pts/0");
        Assert.Equal(0, Call(SYS_stat, Name, Data + 0x400));
        Assert.Equal(_guest.Read<stat>(Data).st_ino, _guest.Read<stat>(Data + 0x400).st_ino);
        Assert.Equal(_guest.Read<stat>(Data).st_dev, _guest.Read<stat>(Data + 0x400).st_dev);

        Assert.Equal(0, Call(SYS_close, slave));
        Assert.Equal(-EIO, Call(SYS_read, master, Data, 10));
        long again = Call(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
        Assert.True(again >= 0);
        Assert.Equal(0, Call(SYS_close, master));
        Assert.Equal(0, Call(SYS_read, (ulong)again, Data, 10));
        Assert.Equal(-EIO, Call(SYS_write, (ulong)again, Data, 1));
        Assert.Equal(-ENOENT, Open("/dev/pts/0", O_RDWR));
        Assert.Equal(0, Call(SYS_close, (ulong)again));
        Assert.Equal(0, _guest.Personality.KernelMemory.Used);
    }

    [Fact]
    public void A_session_leader_gets_a_controlling_terminal()
    {
        (ulong master, ulong slave) = OpenTerminal();
        Assert.Equal(-ENXIO, Open("/dev/tty", O_RDWR));
        // The guest's first process leads no session until it makes one.
        Assert.Equal(-EPERM, Call(SYS_ioctl, slave, TIOCSCTTY, 0));
        Assert.Equal(-ENOTTY, Call(SYS_ioctl, slave, TIOCGPGRP, Data));
        GuestThread thread = _guest.Thread;
        lock (_guest.Personality.TaskLock)
            thread.Process.Session.Leader = thread.Process;
        Assert.Equal(0, Call(SYS_ioctl, slave, TIOCSCTTY, 0));
        Assert.Equal(0, Call(SYS_ioctl, slave, TIOCGPGRP, Data));
        Assert.Equal(thread.Process.Group.Id, _guest.Read<int>(Data));
        Assert.Equal(0, Call(SYS_ioctl, slave, TIOCGSID, Data));
        Assert.Equal(thread.Process.Session.Id, _guest.Read<int>(Data));
        long tty = Open("/dev/tty", O_RDWR);
        Assert.True(tty >= 0);
        _guest.Write(Data, 12345);
        Assert.Equal(-ESRCH, Call(SYS_ioctl, (ulong)tty, TIOCSPGRP, Data));

        // The interrupt key reaches the foreground group.
        thread.Process.Actions[SIGINT].sa_handler = 0x1000;
        _guest.Write(Data, new byte[] { 3 });
        Assert.Equal(1, Call(SYS_write, master, Data, 1));
        Assert.Equal(Personality.Signals.SignalSet.Of(SIGINT), thread.PendingSet);

        // And hanging up reaches the leader.
        thread.Process.Actions[SIGHUP].sa_handler = 0x1000;
        Assert.Equal(0, Call(SYS_close, master));
        Assert.True(Personality.Signals.SignalSet.Contains(thread.PendingSet, SIGHUP));
        Assert.Equal(-ENXIO, Open("/dev/tty", O_RDWR));
    }

    [Fact]
    public void A_read_with_a_timeout_comes_back_with_nothing()
    {
        (ulong master, ulong slave) = OpenTerminal();
        Assert.Equal(0, Call(SYS_ioctl, slave, TCGETS, Data));
        termios settings = _guest.Read<termios>(Data);
        settings.c_lflag = 0;
        unsafe
        {
            settings.c_cc[VMIN] = 0;
            settings.c_cc[VTIME] = 1;
        }
        _guest.Write(Data, settings);
        Assert.Equal(0, Call(SYS_ioctl, slave, TCSETSF, Data));
        Assert.Equal(0, Call(SYS_read, slave, Data, 10));
        Assert.Equal(2, Call(SYS_write, master, Data, 2));
        Assert.Equal(2, Call(SYS_read, slave, Data, 10));
    }

    [Fact]
    public void Terminals_are_bounded()
    {
        int count = 0;
        long result;
        while ((result = Open("/dev/ptmx", O_RDWR)) >= 0)
            count++;
        Assert.True(result is -EMFILE or -ENOSPC or -ENFILE, $"{result}");
        Assert.InRange(count, 10, 256);
        Assert.Equal(0, Call(SYS_close_range, 0, uint.MaxValue, 0));
        Assert.Equal(0, _guest.Personality.KernelMemory.Used);
    }
}
