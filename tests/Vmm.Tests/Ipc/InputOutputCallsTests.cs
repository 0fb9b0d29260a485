using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

public sealed class InputOutputCallsTests : IDisposable
{
    private const ulong Data = DirectGuest.Data, Unmapped = DirectGuest.Unmapped;
    private const ulong Kernel = 0xffff_8000_0000_0000;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private long Call(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0) =>
        _guest.Call(number, a0, a1, a2, a3, a4, a5);

    [Fact]
    public void Bytes_pass_through_a_pipe()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        byte[] bytes = Objects.Bytes(60000);
        _guest.Write(Data + 0x1000, bytes);
        Assert.Equal(60000, Call(SYS_write, writer, Data + 0x1000, 60000));
        Assert.Equal(60000, Call(SYS_read, reader, Data + 0x10001, 100000));
        Assert.Equal(bytes, _guest.Read(Data + 0x10001, 60000));
    }

    [Fact]
    public void A_bad_descriptor_comes_before_a_bad_address()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        Assert.Equal(-EBADF, Call(SYS_read, 99, Unmapped, 1));
        Assert.Equal(-EBADF, Call(SYS_read, writer, Unmapped, 1));
        Assert.Equal(-EBADF, Call(SYS_write, reader, Unmapped, 1));
        Assert.Equal(-EBADF, Call(SYS_read, ulong.MaxValue, Unmapped, 1));
        Assert.Equal(-EFAULT, Call(SYS_write, writer, Unmapped, 1));
        Assert.Equal(-EFAULT, Call(SYS_write, writer, Kernel, 1));
        Assert.Equal(-EFAULT, Call(SYS_write, writer, Data, ulong.MaxValue));
        Assert.Equal(0, Call(SYS_write, writer, Unmapped, 0));
    }

    [Fact]
    public void Data_stays_in_the_pipe_when_the_buffer_is_bad()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        Assert.Equal(100, Call(SYS_write, writer, Data, 100));
        Assert.Equal(-EFAULT, Call(SYS_read, reader, Unmapped, 100));
        Assert.Equal(40, Call(SYS_read, reader, Unmapped - 40, 100));
        Assert.Equal(60, Call(SYS_read, reader, Data, 100));
    }

    [Fact]
    public void A_write_ends_where_memory_ends()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        Assert.Equal(10, Call(SYS_write, writer, Unmapped - 10, 100));
        Assert.Equal(10, Call(SYS_read, reader, Data, 100));
    }

    [Fact]
    public void Vectors_gather_and_scatter()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        _guest.Write(Data + 0x1000, "abcdefgh"u8);
        _guest.WriteWords(Data, Data + 0x1000, 3, Unmapped, 0, Data + 0x1005, 2);
        Assert.Equal(5, Call(SYS_writev, writer, Data, 3));
        _guest.WriteWords(Data, Data + 0x2000, 1, Data + 0x2010, 1, Data + 0x2020, 10);
        Assert.Equal(5, Call(SYS_readv, reader, Data, 3));
        Assert.Equal("a"u8, _guest.Read(Data + 0x2000, 1));
        Assert.Equal("b"u8, _guest.Read(Data + 0x2010, 1));
        Assert.Equal("cfg"u8, _guest.Read(Data + 0x2020, 3));
    }

    [Fact]
    public void Vectors_are_checked()
    {
        (_, ulong writer) = _guest.Pipe();
        Assert.Equal(-EINVAL, Call(SYS_writev, writer, Data, 1025));
        Assert.Equal(-EINVAL, Call(SYS_writev, writer, Data, ulong.MaxValue));
        Assert.Equal(-EFAULT, Call(SYS_writev, writer, Unmapped - 8, 1));
        _guest.WriteWords(Data, Data + 0x1000, 1UL << 63);
        Assert.Equal(-EINVAL, Call(SYS_writev, writer, Data, 1));
        _guest.WriteWords(Data, Kernel, 1);
        Assert.Equal(-EFAULT, Call(SYS_writev, writer, Data, 1));
        Assert.Equal(0, Call(SYS_writev, writer, Data, 0));
        // The total is cut, not refused.
        _guest.WriteWords(Data, Data, 0x7fff_0000_0000, Data, 0x7fff_0000_0000);
        Assert.Equal(-EINVAL, Call(SYS_preadv2, writer, Data, 2, unchecked((ulong)-2)));
    }

    [Fact]
    public void Positions_are_refused_where_there_are_none()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        Assert.Equal(-ESPIPE, Call(SYS_pread64, reader, Data, 1, 0));
        Assert.Equal(-ESPIPE, Call(SYS_pread64, reader, Unmapped, 1, 0));
        Assert.Equal(-ESPIPE, Call(SYS_pwrite64, writer, Data, 1, 0));
        Assert.Equal(-EINVAL, Call(SYS_pread64, reader, Data, 1, ulong.MaxValue));
        Assert.Equal(-ESPIPE, Call(SYS_lseek, reader, 0, SEEK_CUR));
        Assert.Equal(-EINVAL, Call(SYS_lseek, reader, 0, 9));
        Assert.Equal(-EBADF, Call(SYS_lseek, 99, 0, 9));
        // The kernel takes the low half of whence.
        Assert.Equal(0, Call(SYS_lseek, File(0), 0, 0xdead_0000_0000_0000));
    }

    /// <summary>An open file with so many bytes in it, at its start.</summary>
    private ulong File(ulong length)
    {
        _guest.Write(Data, "/tmp/file\0"u8);
        ulong file = (ulong)Call(SYS_open, Data, O_CREAT | O_RDWR, 0x180);
        Assert.Equal((long)length, Call(SYS_pwrite64, file, Data, length, 0));
        return file;
    }

    [Fact]
    public void A_broken_pipe_raises_SIGPIPE()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        Block(SIGPIPE);
        Assert.Equal(0, Call(SYS_close, reader));
        Assert.Equal(-EPIPE, Call(SYS_write, writer, Data, 1));
        Assert.Equal(SignalSet.Of(SIGPIPE), _guest.Thread.PendingSet);
    }

    private void Block(params int[] signals)
    {
        ulong set = 0;
        foreach (int signal in signals)
            set |= SignalSet.Of(signal);
        _guest.WriteWords(Data + 0x800, set);
        Assert.Equal(0, Call(SYS_rt_sigprocmask, 0, Data + 0x800, 0, 8));
    }

    [Fact]
    public void A_read_waits_for_data_and_for_the_end()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        PendingCall read = _guest.CallAside(SYS_read, reader, Data + 0x1000, 10);
        Assert.True(read.IsWaiting(50));
        Assert.Equal(3, Call(SYS_write, writer, Data, 3));
        Assert.Equal(3, read.Result());
        read = _guest.CallAside(SYS_read, reader, Data + 0x1000, 10);
        Assert.True(read.IsWaiting(50));
        Assert.Equal(0, Call(SYS_close, writer));
        Assert.Equal(0, read.Result());
    }

    [Fact]
    public void A_large_write_waits_until_all_is_written()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        PendingCall write = _guest.CallAside(SYS_write, writer, Data, 200_000);
        Assert.True(write.IsWaiting(50));
        GuestReader aside = new(_guest, reader);
        Assert.Equal(200_000, aside.ReadAll(200_000));
        Assert.Equal(200_000, write.Result());
    }

    /// <summary>Drains a pipe from the test's own thread without a second guest thread's buffers.</summary>
    private sealed class GuestReader(DirectGuest guest, ulong descriptor)
    {
        public int ReadAll(int total)
        {
            Personality.Files.OpenFile file = guest.Thread.Descriptors.Acquire((int)descriptor)!;
            byte[] buffer = new byte[30000];
            int read = 0;
            while (read < total)
            {
                long count = file.Read(buffer);
                if (count == -EAGAIN)
                    System.Threading.Thread.Sleep(1);
                else
                    read += (int)count;
            }
            file.Release();
            return read;
        }
    }

    [Fact]
    public void Without_blocking_a_large_write_is_partial()
    {
        (ulong reader, ulong writer) = _guest.Pipe(O_NONBLOCK);
        Assert.Equal(-EAGAIN, Call(SYS_read, reader, Data, 10));
        Assert.Equal(65536, Call(SYS_write, writer, Data, 200_000));
        Assert.Equal(-EAGAIN, Call(SYS_write, writer, Data, 1));
    }

    [Fact]
    public void A_signal_interrupts_a_wait()
    {
        (ulong reader, _) = _guest.Pipe();
        PendingCall read = _guest.CallAside(SYS_read, reader, Data, 10);
        Assert.True(read.IsWaiting(50));
        _guest.Thread.SetWork(Personality.ThreadWork.Signal);
        _guest.Thread.Parker.Unpark();
        Assert.Equal(Restart.System, read.Result());
    }

    [Fact]
    public void Duplicates()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        Assert.Equal(2, Call(SYS_dup, writer));
        Assert.Equal(20, Call(SYS_dup2, writer, 20));
        Assert.Equal((long)writer, Call(SYS_dup2, writer, writer));
        Assert.Equal(-EBADF, Call(SYS_dup2, 99, 99));
        Assert.Equal(-EBADF, Call(SYS_dup2, 99, 3));
        Assert.Equal(-EBADF, Call(SYS_dup2, writer, 1 << 20));
        Assert.Equal(-EBADF, Call(SYS_dup2, writer, ulong.MaxValue));
        Assert.Equal(-EINVAL, Call(SYS_dup3, writer, writer, 0));
        Assert.Equal(-EINVAL, Call(SYS_dup3, writer, 21, O_APPEND));
        Assert.Equal(21, Call(SYS_dup3, writer, 21, O_CLOEXEC));
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, 21, F_GETFD));
        Assert.Equal(0, Call(SYS_fcntl, 20, F_GETFD));
        // The pipe ends only when every duplicate is closed.
        foreach (ulong descriptor in (ulong[])[writer, 2, 20])
            Assert.Equal(0, Call(SYS_close, descriptor));
        Assert.Equal(1, Call(SYS_write, 21, Data, 1));
        Assert.Equal(0, Call(SYS_close, 21));
        Assert.Equal(1, Call(SYS_read, reader, Data, 10));
        Assert.Equal(0, Call(SYS_read, reader, Data, 10));
        Assert.Equal(-EBADF, Call(SYS_close, 21));
    }

    [Fact]
    public void Ranges_close_together()
    {
        _guest.Pipe();
        _guest.Pipe();
        Assert.Equal(-EINVAL, Call(SYS_close_range, 3, 2, 0));
        Assert.Equal(-EINVAL, Call(SYS_close_range, 0, 2, 1));
        Assert.Equal(0, Call(SYS_close_range, 1, 1, CLOSE_RANGE_CLOEXEC));
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, 1, F_GETFD));
        Assert.Equal(0, Call(SYS_close_range, 2, uint.MaxValue, 0));
        Assert.Equal(0, Call(SYS_fcntl, 0, F_GETFD));
        Assert.Equal(-EBADF, Call(SYS_fcntl, 2, F_GETFD));
        Assert.Equal(-EBADF, Call(SYS_fcntl, 3, F_GETFD));
    }

    [Fact]
    public void Control_commands()
    {
        (ulong reader, _) = _guest.Pipe(O_CLOEXEC);
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, reader, F_GETFD));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_SETFD, 0));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_GETFD));
        Assert.Equal(30, Call(SYS_fcntl, reader, F_DUPFD, 30));
        Assert.Equal(31, Call(SYS_fcntl, reader, F_DUPFD_CLOEXEC, 30));
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, 31, F_GETFD));
        Assert.Equal(-EINVAL, Call(SYS_fcntl, reader, F_DUPFD, 1 << 20));
        Assert.Equal(-EINVAL, Call(SYS_fcntl, reader, F_DUPFD, ulong.MaxValue));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_SETFL, O_NONBLOCK | O_RDWR));
        Assert.Equal(O_RDONLY | O_NONBLOCK, Call(SYS_fcntl, 30, F_GETFL));
        Assert.Equal(65536, Call(SYS_fcntl, reader, F_GETPIPE_SZ));
        Assert.Equal(-EINVAL, Call(SYS_fcntl, reader, 12345));
        Assert.Equal(-EBADF, Call(SYS_fcntl, 99, F_GETFD));
        Assert.Equal(32, Call(SYS_fcntl, reader, F_DUPFD, 0xdead_0000_0000_0020));
    }

    [Fact]
    public void The_owner_of_a_file_is_there()
    {
        (ulong reader, _) = _guest.Pipe();
        Personality.GuestThread thread = _guest.Thread;
        ulong pid = (ulong)thread.Process.Pid;
        int group = thread.Process.Group.Id;
        foreach (int nobody in (int[])[77, -77, -512, -600, -601, -116])
            Assert.Equal(-ESRCH, Call(SYS_fcntl, reader, F_SETOWN, unchecked((ulong)nobody)));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_GETOWN));
        Assert.Equal(-EINVAL, Call(SYS_fcntl, reader, F_SETOWN, 0x8000_0000));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_SETOWN, pid));
        Assert.Equal((long)pid, Call(SYS_fcntl, reader, F_GETOWN));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_SETOWN, unchecked((ulong)-group)));
        Assert.Equal(-group, Call(SYS_fcntl, reader, F_GETOWN));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_GETOWN_EX, Data));
        Assert.Equal((F_OWNER_PGRP, group), (_guest.Read<int>(Data), _guest.Read<int>(Data + 4)));
        _guest.Write(Data, new Host.f_owner_ex { type = F_OWNER_PID, pid = -5 });
        Assert.Equal(-ESRCH, Call(SYS_fcntl, reader, F_SETOWN_EX, Data));
        _guest.Write(Data, new Host.f_owner_ex { type = F_OWNER_PID, pid = 77 });
        Assert.Equal(-ESRCH, Call(SYS_fcntl, reader, F_SETOWN_EX, Data));
        _guest.Write(Data, new Host.f_owner_ex { type = F_OWNER_TID, pid = thread.Tid });
        Assert.Equal(0, Call(SYS_fcntl, reader, F_SETOWN_EX, Data));
        Assert.Equal(thread.Tid, Call(SYS_fcntl, reader, F_GETOWN));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_SETOWN, 0));
        Assert.Equal(0, Call(SYS_fcntl, reader, F_GETOWN));
    }

    [Fact]
    public void No_process_group_below_zero_is_an_internal_code()
    {
        for (long group = 1; group < Personality.LinuxPersonality.PidLimit; group++)
            Assert.False(Restart.IsRestart(-group) || -group is Restart.KeepRegisters or Restart.AtExit, $"{group}");
    }

    [Fact]
    public void Ioctls_of_every_file()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        Assert.Equal(0, Call(SYS_ioctl, reader, FIOCLEX));
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, reader, F_GETFD));
        _guest.Write(Data, 1);
        Assert.Equal(0, Call(SYS_ioctl, reader, FIONBIO, Data));
        Assert.Equal(-EAGAIN, Call(SYS_read, reader, Data, 1));
        Assert.Equal(7, Call(SYS_write, writer, Data, 7));
        Assert.Equal(0, Call(SYS_ioctl, reader, FIONREAD, Data));
        Assert.Equal(7, _guest.Read<int>(Data));
        Assert.Equal(-EFAULT, Call(SYS_ioctl, reader, FIONREAD, Unmapped));
        Assert.Equal(-ENOTTY, Call(SYS_ioctl, reader, TCGETS, Data));
        Assert.Equal(-EBADF, Call(SYS_ioctl, 99, TCGETS, Data));
    }

    [Fact]
    public void Making_a_pipe_fails_without_a_trace()
    {
        Assert.Equal(-EFAULT, Call(SYS_pipe, Unmapped));
        Assert.Equal(-EINVAL, Call(SYS_pipe2, Data, O_APPEND));
        Assert.Equal(-1, _guest.Thread.Descriptors.NextOpen(0));
        Assert.Equal(0, _guest.Personality.KernelMemory.Used);
        for (int i = 0; i < 127; i++)
            _guest.Pipe();
        Assert.Equal(254, Call(SYS_eventfd2, 0, 0));
        Assert.Equal(-EMFILE, Call(SYS_pipe, Data));
        Assert.Equal(-EBADF, Call(SYS_fcntl, 255, F_GETFD));
    }

    [Fact]
    public void Splice_and_tee_move_and_copy()
    {
        (ulong r1, ulong w1) = _guest.Pipe();
        (ulong r2, ulong w2) = _guest.Pipe();
        _guest.Write(Data, "hello"u8);
        Assert.Equal(5, Call(SYS_write, w1, Data, 5));
        Assert.Equal(5, Call(SYS_tee, r1, w2, 100, 0));
        Assert.Equal(3, Call(SYS_splice, r1, 0, w2, 0, 3, 0));
        Assert.Equal(8, Call(SYS_read, r2, Data, 100));
        Assert.Equal("hellohel"u8, _guest.Read(Data, 8));
        Assert.Equal(2, Call(SYS_read, r1, Data, 100));
        Assert.Equal(-EAGAIN, Call(SYS_splice, r1, 0, w2, 0, 3, SPLICE_F_NONBLOCK));
        Assert.Equal(-ESPIPE, Call(SYS_splice, r1, Data, w2, 0, 3, 0));
        Assert.Equal(-EINVAL, Call(SYS_splice, r1, 0, w1, 0, 3, 0));
        Assert.Equal(-EINVAL, Call(SYS_splice, r1, 0, w2, 0, 3, 0x100));
        _guest.WriteWords(Data + 0x1000, Data, 4);
        Assert.Equal(4, Call(SYS_vmsplice, w1, Data + 0x1000, 1, 0));
        Assert.Equal(4, Call(SYS_vmsplice, r1, Data + 0x1000, 1, 0));
    }

    [Fact]
    public void What_a_splice_is_about_to_take_is_taken_by_nobody_else()
    {
        (ulong r1, ulong w1) = _guest.Pipe();
        (ulong r2, ulong w2) = _guest.Pipe();
        Assert.Equal(0, Call(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, Data));
        ulong near = _guest.Read<uint>(Data), far = _guest.Read<uint>(Data + 4);
        while (Call(SYS_write, near, Data, 4096) > 0)
        {
        }
        Assert.Equal(0, Call(SYS_fcntl, near, F_SETFL, 0));
        _guest.Write(Data, "hello"u8);
        Assert.Equal(5, Call(SYS_write, w1, Data, 5));
        PendingCall first = _guest.CallAside(SYS_splice, r1, 0, near, 0, 3, 0);
        Assert.True(first.IsWaiting(50));
        Assert.Equal(-EAGAIN, Call(SYS_splice, r1, 0, w2, 0, 5, SPLICE_F_NONBLOCK));
        Assert.Equal(0, Call(SYS_fcntl, r1, F_SETFL, O_NONBLOCK));
        Assert.Equal(-EAGAIN, Call(SYS_read, r1, Data, 5));
        while (Call(SYS_read, far, Data, 4096) > 0)
        {
        }
        Assert.Equal(3, first.Result());
        Assert.Equal(2, Call(SYS_splice, r1, 0, w2, 0, 5, SPLICE_F_NONBLOCK));
        Assert.Equal(2, Call(SYS_read, r2, Data, 5));
        Assert.Equal("lo"u8, _guest.Read(Data, 2));
    }

    [Fact]
    public void A_splice_that_waits_for_room_in_a_pipe_holds_nothing_back()
    {
        (ulong r1, ulong w1) = _guest.Pipe();
        (ulong r2, ulong w2) = _guest.Pipe();
        Assert.Equal(65536, Call(SYS_write, w2, Data, 65536));
        Assert.Equal(5, Call(SYS_write, w1, Data, 5));
        PendingCall first = _guest.CallAside(SYS_splice, r1, 0, w2, 0, 5, 0);
        Assert.True(first.IsWaiting(50));
        Assert.Equal(3, Call(SYS_read, r1, Data, 3));
        Assert.Equal(65536, Call(SYS_read, r2, Data, 65536));
        Assert.Equal(2, first.Result());
    }

    [Fact]
    public void What_goes_into_a_pipe_is_what_fits()
    {
        ulong file = File(200_000);
        _guest.WriteWords(Data + 0x3f000, Data, 128 * 1024);
        (ulong r1, ulong w1) = _guest.Pipe();
        Assert.Equal(65536, _guest.CallAside(SYS_vmsplice, w1, Data + 0x3f000, 1).Result());
        (ulong r2, ulong w2) = _guest.Pipe();
        Assert.Equal(20_000, Call(SYS_write, w2, Data, 20_000));
        Assert.Equal(45_536, _guest.CallAside(SYS_tee, r1, w2, 65536).Result());
        (ulong r3, ulong w3) = _guest.Pipe();
        Assert.Equal(20_000, Call(SYS_write, w3, Data, 20_000));
        _guest.WriteWords(Data, 1000);
        Assert.Equal(45_536, _guest.CallAside(SYS_splice, file, Data, w3, 0, 200_000).Result());
        Assert.Equal(46_536UL, _guest.Read<ulong>(Data));
        (_, ulong w4) = _guest.Pipe();
        Assert.Equal(65536, _guest.CallAside(SYS_sendfile, w4, file, 0, 200_000).Result());
        Assert.Equal(65536, Call(SYS_lseek, file, 0, SEEK_CUR));
        // A larger pipe takes more at once.
        (_, ulong w5) = _guest.Pipe();
        Assert.Equal(1 << 20, Call(SYS_fcntl, w5, F_SETPIPE_SZ, 1 << 20));
        Assert.Equal(134_464, _guest.CallAside(SYS_splice, file, 0, w5, 0, 200_000).Result());

        // Full: awaited, whatever O_NONBLOCK says to vmsplice, or refused.
        Assert.Equal(0, Call(SYS_fcntl, w1, F_SETFL, O_NONBLOCK));
        Assert.Equal(-EAGAIN, Call(SYS_vmsplice, w1, Data + 0x3f000, 1, SPLICE_F_NONBLOCK));
        Assert.Equal(-EAGAIN, Call(SYS_splice, file, Data, w1, 0, 200_000));
        Assert.Equal(-EAGAIN, Call(SYS_splice, file, Data, w2, 0, 200_000, SPLICE_F_NONBLOCK));
        PendingCall waiting = _guest.CallByAnother(SYS_vmsplice, w1, Data + 0x3f000, 1);
        Assert.True(waiting.IsWaiting(50));
        Assert.Equal(30_000, Call(SYS_read, r1, Data + 0x10000, 30_000));
        Assert.Equal(30_000, waiting.Result());
        waiting = _guest.CallByAnother(SYS_splice, file, Data, w3, 0, 200_000);
        _guest.WriteWords(Data, 0);
        Assert.True(waiting.IsWaiting(50));
        Assert.Equal(0, Call(SYS_close, r3));
        Block(SIGPIPE);
        Assert.Equal(-EPIPE, waiting.Result());
        Assert.Equal(65_536, Call(SYS_read, r2, Data, 70_000));
    }

    [Fact]
    public void However_fast_the_reader_one_call_moves_no_more_than_a_pipe_holds()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        using CancellationTokenSource stop = new();
        Personality.Files.OpenFile end = _guest.Thread.Descriptors.Acquire((int)reader)!;
        System.Threading.Thread drain = new(() =>
        {
            byte[] buffer = new byte[65536];
            while (!stop.IsCancellationRequested)
                end.Read(buffer);
        });
        drain.Start();
        ulong file = File(200_000);
        _guest.WriteWords(Data, Data, 200_000);
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(0, Call(SYS_lseek, file, 0, SEEK_SET));
            Assert.InRange(Call(SYS_splice, file, 0, writer, 0, 200_000), 1, 65536);
            Assert.InRange(Call(SYS_vmsplice, writer, Data, 1), 1, 65536);
        }
        stop.Cancel();
        drain.Join();
        end.Release();
    }

    [Fact]
    public void Bytes_stay_in_a_socket_until_a_pipe_has_room_for_them()
    {
        (ulong near, ulong far) = _guest.SocketPair(SOCK_STREAM);
        (ulong reader, ulong writer) = _guest.Pipe();
        Assert.Equal(65536, Call(SYS_write, writer, Data, 65536));
        _guest.Write(Data, "hello"u8);
        Assert.Equal(5, Call(SYS_write, near, Data, 5));
        PendingCall splice = _guest.CallAside(SYS_splice, far, 0, writer, 0, 100);
        Assert.True(splice.IsWaiting(50));
        _guest.Thread.SetWork(Personality.ThreadWork.Signal);
        _guest.Thread.Parker.Unpark();
        Assert.Equal(Restart.System, splice.Result());
        _guest.Thread.ClearWork(Personality.ThreadWork.Signal);
        Assert.Equal(0, Call(SYS_ioctl, far, FIONREAD, Data));
        Assert.Equal(5, _guest.Read<int>(Data));
        Assert.Equal(65536, Call(SYS_read, reader, Data, 65536));
        Assert.Equal(5, Call(SYS_splice, far, 0, writer, 0, 100));
        Assert.Equal(5, Call(SYS_read, reader, Data, 100));
        Assert.Equal("hello"u8, _guest.Read(Data, 5));
        // A datagram is not cut where there is room for it.
        (near, far) = _guest.SocketPair(SOCK_DGRAM);
        Assert.Equal(20_000, Call(SYS_write, near, Data, 20_000));
        Assert.Equal(20_000, Call(SYS_splice, far, 0, writer, 0, 100_000));
    }

    [Fact]
    public void A_splice_that_waits_for_a_socket_leaves_the_pipe_to_others()
    {
        (ulong near, ulong far) = _guest.SocketPair(SOCK_STREAM);
        (ulong reader, ulong writer) = _guest.Pipe();
        PendingCall splice = _guest.CallByAnother(SYS_splice, far, 0, writer, 0, 100);
        Assert.True(splice.IsWaiting(50));
        Assert.Equal(65536, Call(SYS_write, writer, Data, 65536));
        Assert.Equal(5, Call(SYS_write, near, Data, 5));
        Assert.True(splice.IsWaiting(50));
        Assert.Equal(65536, Call(SYS_read, reader, Data, 65536));
        Assert.Equal(5, splice.Result());
        Assert.Equal(5, Call(SYS_read, reader, Data, 65536));
        Assert.Equal(0, Call(SYS_close, near));
        Assert.Equal(0, Call(SYS_splice, far, 0, writer, 0, 100));
    }

    [Fact]
    public void Eventfd_messages_are_whole()
    {
        long descriptor = Call(SYS_eventfd2, 5, EFD_NONBLOCK);
        Assert.Equal(-EINVAL, Call(SYS_read, (ulong)descriptor, Data, 7));
        Assert.Equal(-EFAULT, Call(SYS_read, (ulong)descriptor, Unmapped, 8));
        Assert.Equal(8, Call(SYS_read, (ulong)descriptor, Data, 4096));
        Assert.Equal(5UL, _guest.Read<ulong>(Data));
        Assert.Equal(-EAGAIN, Call(SYS_read, (ulong)descriptor, Data, 8));
        // Two counters in one vector are still one write.
        _guest.WriteWords(Data, 3, 4, Data, 8, Data + 8, 8);
        Assert.Equal(8, Call(SYS_writev, (ulong)descriptor, Data + 16, 2));
        Assert.Equal(8, Call(SYS_read, (ulong)descriptor, Data, 8));
        Assert.Equal(3UL, _guest.Read<ulong>(Data));
        Assert.Equal(-EINVAL, Call(SYS_eventfd2, 0, 2));
    }

    [Fact]
    public void A_timer_expires()
    {
        long descriptor = Call(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
        _guest.WriteWords(Data, 0, 20_000_000, 0, 1_000_000);
        Assert.Equal(0, Call(SYS_timerfd_settime, (ulong)descriptor, 0, Data, Data + 0x100));
        Assert.Equal(0UL, _guest.Read<ulong>(Data + 0x100 + 16));
        Assert.Equal(8, Call(SYS_read, (ulong)descriptor, Data, 8));
        Assert.InRange(_guest.Read<ulong>(Data), 1UL, 1000UL);
        System.Threading.Thread.Sleep(100);
        Assert.Equal(8, Call(SYS_read, (ulong)descriptor, Data, 8));
        Assert.InRange(_guest.Read<ulong>(Data), 3UL, 1000UL);
        Assert.Equal(0, Call(SYS_timerfd_gettime, (ulong)descriptor, Data));
        Assert.Equal(20_000_000UL, _guest.Read<ulong>(Data + 8));
        Assert.InRange(_guest.Read<ulong>(Data + 24), 1UL, 20_000_000UL);
        _guest.WriteWords(Data, 0, 0, 0, 0);
        Assert.Equal(0, Call(SYS_timerfd_settime, (ulong)descriptor, 0, Data, 0));
        Assert.Equal(0, Call(SYS_fcntl, (ulong)descriptor, F_SETFL, O_NONBLOCK));
        Assert.Equal(-EAGAIN, Call(SYS_read, (ulong)descriptor, Data, 8));
    }

    [Fact]
    public void Timer_arguments_are_checked()
    {
        ulong descriptor = (ulong)Call(SYS_timerfd_create, CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        Assert.Equal(-EINVAL, Call(SYS_timerfd_create, 99, 0));
        Assert.Equal(-EINVAL, Call(SYS_timerfd_create, CLOCK_MONOTONIC, 1));
        Assert.Equal(-EFAULT, Call(SYS_timerfd_settime, descriptor, 0, Unmapped, 0));
        _guest.WriteWords(Data, 0, 0, 0, 1_000_000_000);
        Assert.Equal(-EINVAL, Call(SYS_timerfd_settime, descriptor, 0, Data, 0));
        _guest.WriteWords(Data, 0, 0, unchecked((ulong)-1), 0);
        Assert.Equal(-EINVAL, Call(SYS_timerfd_settime, descriptor, 0, Data, 0));
        (ulong reader, _) = _guest.Pipe();
        _guest.WriteWords(Data, 0, 0, 1, 0);
        Assert.Equal(-EINVAL, Call(SYS_timerfd_settime, reader, 0, Data, 0));
        // An absolute time in the past has expired already.
        Assert.Equal(0, Call(SYS_timerfd_settime, descriptor, TFD_TIMER_ABSTIME, Data, 0));
        _guest.Write(Data, new Host.pollfd { fd = (int)descriptor, events = POLLIN });
        Assert.Equal(1, Call(SYS_poll, Data, 1, 5000));
        // A nanosecond's interval costs nothing but a large count.
        _guest.WriteWords(Data, 0, 1, 0, 1);
        Assert.Equal(0, Call(SYS_timerfd_settime, descriptor, 0, Data, 0));
        System.Threading.Thread.Sleep(20);
        Assert.Equal(8, Call(SYS_read, descriptor, Data, 8));
        Assert.InRange(_guest.Read<ulong>(Data), 1_000_000UL, 100_000_000_000UL);
    }

    [Fact]
    public void Signals_can_be_read()
    {
        Block(SIGUSR1, SIGCHLD);
        _guest.WriteWords(Data, SignalSet.Of(SIGUSR1) | SignalSet.Of(SIGKILL));
        ulong descriptor = (ulong)Call(SYS_signalfd4, ulong.MaxValue, Data, 8, SFD_NONBLOCK);
        Assert.Equal(-EAGAIN, Call(SYS_read, descriptor, Data, 128));
        _guest.Thread.Process.SendSignal(SIGUSR1, SignalInfo.User(SIGUSR1, 55, 1000));
        _guest.Write(Data, new Host.pollfd { fd = (int)descriptor, events = POLLIN });
        Assert.Equal(1, Call(SYS_poll, Data, 1, 5000));
        Assert.Equal(-EINVAL, Call(SYS_read, descriptor, Data, 127));
        Assert.Equal(128, Call(SYS_read, descriptor, Data, 1000));
        Assert.Equal((uint)SIGUSR1, _guest.Read<uint>(Data));
        Assert.Equal(55u, _guest.Read<uint>(Data + 12));
        Assert.Equal(-EAGAIN, Call(SYS_read, descriptor, Data, 128));
        Assert.Equal(-EINVAL, Call(SYS_signalfd4, ulong.MaxValue, Data, 4, 0));
    }

    [Fact]
    public void A_blocked_read_of_a_signalfd_is_woken()
    {
        Block(SIGUSR1);
        _guest.WriteWords(Data, SignalSet.Of(SIGUSR1));
        ulong descriptor = (ulong)Call(SYS_signalfd4, ulong.MaxValue, Data, 8, 0);
        PendingCall read = _guest.CallAside(SYS_read, descriptor, Data + 0x1000, 128);
        Assert.True(read.IsWaiting(50));
        _guest.Thread.Process.SendSignal(SIGUSR1, SignalInfo.User(SIGUSR1, 55, 1000));
        Assert.Equal(128, read.Result());
    }

    [Fact]
    public void No_argument_whatever_breaks_a_call()
    {
        Random random = new(5);
        int[] numbers =
        [
            SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_preadv, SYS_pwritev,
            SYS_preadv2, SYS_pwritev2, SYS_lseek, SYS_close, SYS_close_range, SYS_dup, SYS_dup2, SYS_dup3, SYS_fcntl,
            SYS_ioctl, SYS_sendfile, SYS_splice, SYS_tee, SYS_vmsplice, SYS_pipe, SYS_pipe2, SYS_eventfd, SYS_eventfd2,
            SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_signalfd, SYS_signalfd4, SYS_poll,
            SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_create, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_wait,
            SYS_epoll_pwait, SYS_epoll_pwait2, SYS_socket, SYS_socketpair, SYS_bind, SYS_listen, SYS_accept4,
            SYS_connect, SYS_getsockname, SYS_getpeername, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
            SYS_sendmmsg, SYS_recvmmsg, SYS_getsockopt, SYS_setsockopt, SYS_shutdown,
        ];
        // Nothing may wait: somebody always has a reason to stop waiting.
        _guest.Thread.SetWork(Personality.ThreadWork.Signal);
        Block(SIGPIPE);
        byte[] noise = new byte[512];
        for (int round = 0; round < 60_000; round++)
        {
            if (round % 16 == 0)
            {
                random.NextBytes(noise);
                for (int i = 0; i < noise.Length; i += 8)
                {
                    if (random.Next(2) == 0)
                        BitConverter.TryWriteBytes(noise.AsSpan(i), Value(random));
                }
                _guest.Write(Data + (ulong)random.Next(64) * 8, noise);
            }
            int number = numbers[random.Next(numbers.Length)];
            long result = Call(
                number, Value(random), Value(random), Value(random), Value(random), Value(random), Value(random));
            Assert.True(result >= -4095 || Restart.IsRestart(result), $"call {number} answered {result}");
            _guest.Thread.SetWork(Personality.ThreadWork.Signal);
        }
        Assert.InRange(_guest.Personality.KernelMemory.Used, 0, _guest.Personality.KernelMemory.Limit);
        Assert.InRange(_guest.Personality.Sockets.InFlight.Count, 0, 4096);
        Assert.Equal(0, Call(SYS_close_range, 0, uint.MaxValue, 0));
    }

    private static ulong Value(Random random) => random.Next(12) switch
    {
        0 => 0,
        1 => 1,
        2 or 3 or 4 => (ulong)random.Next(40),
        5 or 6 => Data + (ulong)random.Next(1024),
        7 => Unmapped - (ulong)random.Next(64),
        8 => (ulong)random.NextInt64(),
        9 => ulong.MaxValue - (ulong)random.Next(4),
        10 => 1UL << random.Next(64),
        _ => (ulong)random.Next(1 << 20),
    };
}
