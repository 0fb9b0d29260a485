using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

/// <summary>Calls that act only once there is a descriptor for what they open.</summary>
public sealed class ReservedDescriptorTests : IDisposable
{
    private const ulong Data = DirectGuest.Data, Name = DirectGuest.Data + 0x3000;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private long Call(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0) =>
        _guest.Call(number, a0, a1, a2, a3);

    private void Path(string path) => _guest.Write(Name, [.. Encoding.UTF8.GetBytes(path), 0]);

    private long Open(string path, int flags)
    {
        Path(path);
        return Call(SYS_open, Name, (ulong)flags, 0x180);
    }

    /// <summary>Leaves no descriptor free; the last one is the answer.</summary>
    private ulong Fill(ulong descriptor)
    {
        long last = 0, result;
        while ((result = Call(SYS_dup, descriptor)) >= 0)
            last = result;
        Assert.Equal(-EMFILE, result);
        return (ulong)last;
    }

    [Fact]
    public void An_open_without_a_descriptor_neither_cuts_nor_makes_a_file()
    {
        ulong file = (ulong)Open("/tmp/data", O_CREAT | O_RDWR);
        Assert.Equal(3, Call(SYS_write, file, Data, 3));
        ulong last = Fill(file);
        Assert.Equal(-EMFILE, Open("/tmp/data", O_WRONLY | O_TRUNC));
        Assert.Equal(0, Call(SYS_fstat, file, Data));
        Assert.Equal(3, _guest.Read<stat>(Data).st_size);
        Assert.Equal(-EMFILE, Open("/tmp/new", O_WRONLY | O_CREAT | O_EXCL));
        Assert.Equal(-ENOENT, Call(SYS_access, Name, F_OK));
        _guest.WriteWords(Data, O_WRONLY | O_CREAT | O_EXCL, 0x180, RESOLVE_IN_ROOT);
        Assert.Equal(-EMFILE, Call(SYS_openat2, unchecked((ulong)AT_FDCWD), Name, Data, 24));
        Assert.Equal(-ENOENT, Call(SYS_access, Name, F_OK));

        Assert.Equal(0, Call(SYS_close, last));
        // What fails gives its descriptor back.
        Assert.Equal(-ENOENT, Open("/tmp/none/new", O_RDONLY));
        Assert.Equal((long)last, Open("/tmp/new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC));
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, last, F_GETFD));
    }

    [Fact]
    public void A_connection_that_has_no_descriptor_stays_in_the_queue()
    {
        ulong server = (ulong)Call(SYS_socket, AF_UNIX, SOCK_STREAM);
        ulong client = (ulong)Call(SYS_socket, AF_UNIX, SOCK_STREAM);
        _guest.Write(Data, "\x01\0\0name"u8);
        Assert.Equal(0, Call(SYS_bind, server, Data, 7));
        Assert.Equal(0, Call(SYS_listen, server, 1));
        Assert.Equal(0, Call(SYS_connect, client, Data, 7));
        ulong last = Fill(client);
        Assert.Equal(-EMFILE, Call(SYS_accept4, server));
        Assert.Equal(0, Call(SYS_close, last));
        Assert.Equal((long)last, Call(SYS_accept4, server));
        Assert.Equal(5, Call(SYS_write, client, Data, 5));
        Assert.Equal(5, Call(SYS_read, last, Data, 100));
        Assert.Equal(4, Call(SYS_write, last, Data, 4));
        Assert.Equal(4, Call(SYS_read, client, Data, 100));
        // What fails gives its descriptor back.
        Assert.Equal(0, Call(SYS_close, last));
        Assert.Equal(0, Call(SYS_fcntl, server, F_SETFL, O_NONBLOCK));
        Assert.Equal(-EAGAIN, Call(SYS_accept4, server));
        Assert.Equal((long)last, Call(SYS_dup, client));
    }

    [Fact]
    public void A_terminal_that_has_no_descriptor_becomes_nobodys()
    {
        ulong master = (ulong)Open("/dev/ptmx", O_RDWR | O_NOCTTY);
        _guest.Write(Data, 0);
        Assert.Equal(0, Call(SYS_ioctl, master, TIOCSPTLCK, Data));
        GuestThread thread = _guest.Thread;
        lock (_guest.Personality.TaskLock)
            thread.Process.Session.Leader = thread.Process;
        ulong last = Fill(master);
        Assert.Equal(-EMFILE, Call(SYS_ioctl, master, TIOCGPTPEER, O_RDWR));
        Assert.Equal(0, Call(SYS_close, last));
        Assert.Equal(-ENXIO, Open("/dev/tty", O_RDWR));
        Assert.Equal((long)last, Call(SYS_ioctl, master, TIOCGPTPEER, O_RDWR));
        Assert.Equal(0, Call(SYS_close, last));
        Assert.Equal((long)last, Open("/dev/tty", O_RDWR));
    }

    [Fact]
    public void The_descriptor_of_an_open_that_waits_is_nobody_elses()
    {
        Path("/tmp/fifo");
        Assert.Equal(0, Call(SYS_mknodat, unchecked((ulong)AT_FDCWD), Name, S_IFIFO | 0x180));
        (ulong reader, ulong writer) = _guest.Pipe();
        PendingCall waiting = _guest.CallByAnother(SYS_open, Name, O_RDONLY);
        Assert.True(waiting.IsWaiting(50));
        ulong promised = writer + 1;
        Assert.Equal(-EBUSY, Call(SYS_dup2, reader, promised));
        Assert.Equal(-EBUSY, Call(SYS_dup3, reader, promised, O_CLOEXEC));
        Assert.Equal(-EBADF, Call(SYS_close, promised));
        Assert.Equal(-EBADF, Call(SYS_fcntl, promised, F_GETFD));
        Assert.Equal(-EBADF, Call(SYS_fcntl, promised, F_SETFD, FD_CLOEXEC));
        Assert.Equal(-EBADF, Call(SYS_read, promised, Data, 1));
        Assert.Equal(0, Call(SYS_close_range, promised, uint.MaxValue, CLOSE_RANGE_CLOEXEC));
        Assert.Equal(0, Call(SYS_close_range, promised, uint.MaxValue, 0));
        Assert.Equal(-1, _guest.Thread.Descriptors.NextOpen((int)promised));
        Assert.Equal((long)promised + 1, Call(SYS_dup, reader));
        Assert.Equal((long)promised + 1, _guest.Thread.Descriptors.NextOpen((int)promised));
        Assert.Equal(0, Call(SYS_close, promised + 1));

        // A child of fork has no part in it.
        DescriptorTable copy = _guest.Thread.Descriptors.Copy();
        Assert.Equal(-1, copy.NextOpen((int)promised));
        OpenFile file = _guest.Thread.Descriptors.Acquire((int)reader)!;
        Assert.Equal((int)promised, copy.Add(file, closeOnExec: false));
        copy.CloseRange(null, 0, int.MaxValue, onlyCloseOnExec: false);

        Assert.Equal((long)promised + 1, Open("/tmp/fifo", O_WRONLY));
        Assert.Equal((long)promised, waiting.Result());
        Assert.Equal(0, Call(SYS_fcntl, promised, F_GETFD));
        Assert.Equal(2, Call(SYS_write, promised + 1, Data, 2));
        Assert.Equal(2, Call(SYS_read, promised, Data, 10));
    }

    [Fact]
    public void What_is_opened_for_a_table_that_everybody_has_left_is_closed()
    {
        KernelMemory memory = Objects.Memory();
        (PipeEnd reader, PipeEnd writer) = Objects.Pipe(memory);
        DescriptorTable table = new(16);
        int descriptor = table.Reserve();
        Assert.Equal(0, descriptor);
        table.Release(_guest.Thread.Process);
        table.Fill(descriptor, reader, closeOnExec: false);
        Assert.Equal(-1, table.NextOpen(0));
        Assert.Equal(-EPIPE, writer.Write([1]));
    }
}
