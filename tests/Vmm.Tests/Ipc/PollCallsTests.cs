using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Personality.SystemCalls;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

public sealed class PollCallsTests : IDisposable
{
    private const ulong Data = DirectGuest.Data, Unmapped = DirectGuest.Unmapped;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private long Call(int number, ulong a0 = 0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0) =>
        _guest.Call(number, a0, a1, a2, a3, a4, a5);

    private (long Result, short[] Ready) Poll(int timeout, params (ulong Descriptor, short Events)[] wanted)
    {
        pollfd[] descriptors =
            [.. wanted.Select(w => new pollfd { fd = (int)w.Descriptor, events = w.Events, revents = 77 })];
        _guest.Write(Data, MemoryMarshal.AsBytes(descriptors.AsSpan()));
        long result = Call(SYS_poll, Data, (ulong)descriptors.Length, (ulong)(long)timeout);
        return (result, [.. descriptors.Select((_, i) => _guest.Read<pollfd>(Data + (ulong)i * 8).revents)]);
    }

    [Fact]
    public void Polling_looks_at_every_descriptor()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        (long result, short[] ready) =
            Poll(0, (reader, POLLIN), (writer, POLLOUT), (99, POLLIN), (ulong.MaxValue, POLLIN));
        Assert.Equal(2, result);
        Assert.Equal<short>([0, POLLOUT, POLLNVAL, 0], ready);
        Call(SYS_write, writer, Data, 1);
        (result, ready) = Poll(-1, (reader, POLLIN | POLLPRI));
        Assert.Equal(1, result);
        Assert.Equal(POLLIN, ready[0]);
        Call(SYS_close, reader);
        // An error is reported whether asked for or not.
        (result, ready) = Poll(-1, (writer, 0));
        Assert.Equal(1, result);
        Assert.Equal(POLLERR, ready[0]);
    }

    [Fact]
    public void A_timeout_is_kept()
    {
        (ulong reader, _) = _guest.Pipe();
        long before = HostClock.MonotonicNanoseconds();
        Assert.Equal(0, Poll(30, (reader, POLLIN)).Result);
        Assert.InRange(HostClock.MonotonicNanoseconds() - before, 30_000_000, 10_000_000_000);
        Assert.Equal(0, Call(SYS_poll, 0, 0, 1));
    }

    [Fact]
    public void Arguments_are_checked()
    {
        Assert.Equal(-EFAULT, Call(SYS_poll, Unmapped, 1, 0));
        Assert.Equal(-EINVAL, Call(SYS_poll, Data, 1 << 20, 0));
        Assert.Equal(-EINVAL, Call(SYS_ppoll, Data, 0, 0, Data, 4));
        _guest.WriteWords(Data, 0, 1_000_000_000);
        Assert.Equal(-EINVAL, Call(SYS_ppoll, Data, 0, Data, 0, 8));
        Assert.Equal(-EFAULT, Call(SYS_ppoll, Data, 0, Unmapped, 0, 8));
        Assert.Equal(-EINVAL, Call(SYS_select, ulong.MaxValue, 0, 0, 0, 0));
        Assert.Equal(-EFAULT, Call(SYS_select, 64, Unmapped, 0, 0, 0));
        _guest.WriteWords(Data, 1UL << 50);
        Assert.Equal(-EBADF, Call(SYS_select, 64, Data, 0, 0, 0));
    }

    [Fact]
    public void A_writer_wakes_a_poller()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        _guest.Write(Data + 0x100, new pollfd { fd = (int)reader, events = POLLIN });
        PendingCall poll = _guest.CallAside(SYS_poll, Data + 0x100, 1, ulong.MaxValue);
        Assert.True(poll.IsWaiting(50));
        _guest.WriteAside(writer, [1]);
        Assert.Equal(1, poll.Result());
        Assert.Equal(POLLIN, _guest.Read<pollfd>(Data + 0x100).revents);
    }

    [Fact]
    public void A_signal_ends_a_poll_to_be_continued_with_its_deadline()
    {
        (ulong reader, _) = _guest.Pipe();
        _guest.Write(Data, new pollfd { fd = (int)reader, events = POLLIN });
        _guest.Thread.SetWork(ThreadWork.Signal);
        Assert.Equal(Restart.Block, Call(SYS_poll, Data, 1, 100));
        long deadline = _guest.Thread.RestartState.Deadline;
        _guest.Thread.ClearWork(ThreadWork.Signal);
        Assert.Equal(0, _guest.Thread.RestartFunction!(_guest.Thread));
        Assert.True(HostClock.MonotonicNanoseconds() >= deadline);
    }

    [Fact]
    public void Select_reports_in_the_sets()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        ulong both = 1UL << (int)reader | 1UL << (int)writer;
        _guest.WriteWords(Data, 1UL << (int)reader, 1UL << (int)writer, both, 0, 0);
        Assert.Equal(1, Call(SYS_select, 10, Data, Data + 8, Data + 16, Data + 24));
        Assert.Equal((0UL, 1UL << (int)writer, 0UL),
            (_guest.Read<ulong>(Data), _guest.Read<ulong>(Data + 8), _guest.Read<ulong>(Data + 16)));
        Call(SYS_write, writer, Data, 1);
        _guest.WriteWords(Data, 1UL << (int)reader, both, 0, 5, 0);
        Assert.Equal(2, Call(SYS_select, 10, Data, Data + 8, Data + 16, Data + 24));
        // The time that is left is written back.
        Assert.InRange(_guest.Read<ulong>(Data + 24), 4UL, 5UL);
    }

    [Fact]
    public void A_temporary_mask_lets_a_signal_in_and_stays_until_delivery()
    {
        _guest.WriteWords(Data, SignalSet.Of(SIGUSR1), 0, SignalSet.Of(SIGUSR2));
        Assert.Equal(0, Call(SYS_rt_sigprocmask, 0, Data, 0, 8));
        _guest.Thread.Process.Actions[SIGUSR1].sa_handler = 0x1000;
        _guest.Thread.Process.SendSignal(SIGUSR1, SignalInfo.User(SIGUSR1, 1, 0));
        Assert.Equal(Restart.NoHandler, Call(SYS_ppoll, 0, 0, 0, Data + 16, 8));
        Assert.Equal(SignalSet.Of(SIGUSR2), _guest.Thread.SignalMask);
        _guest.Thread.EndTemporaryMask(interrupted: false);
        Assert.Equal(SignalSet.Of(SIGUSR1), _guest.Thread.SignalMask);
        // Without a signal the mask is back at once.
        _guest.WriteWords(Data + 32, 0, 1000);
        Assert.Equal(0, Call(SYS_ppoll, 0, 0, Data + 32, Data, 8));
        Assert.Equal(SignalSet.Of(SIGUSR1), _guest.Thread.SignalMask);
    }

    [Fact]
    public void Epoll_calls()
    {
        (ulong reader, ulong writer) = _guest.Pipe();
        ulong epoll = (ulong)Call(SYS_epoll_create1, EPOLL_CLOEXEC);
        Assert.Equal(FD_CLOEXEC, Call(SYS_fcntl, epoll, F_GETFD));
        _guest.Write(Data, new epoll_event { events = EPOLLIN, data = 0x1234_5678_9abc });
        Assert.Equal(0, Call(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, reader, Data));
        Assert.Equal(0, Call(SYS_epoll_wait, epoll, Data, 10, 0));
        PendingCall wait = _guest.CallAside(SYS_epoll_wait, epoll, Data + 0x1000, 10, ulong.MaxValue);
        Assert.True(wait.IsWaiting(50));
        _guest.WriteAside(writer, [1]);
        Assert.Equal(1, wait.Result());
        epoll_event found = _guest.Read<epoll_event>(Data + 0x1000);
        Assert.Equal((uint)EPOLLIN, found.events);
        Assert.Equal(0x1234_5678_9abcUL, found.data);
    }

    [Fact]
    public void Epoll_arguments_are_checked()
    {
        (ulong reader, _) = _guest.Pipe();
        ulong epoll = (ulong)Call(SYS_epoll_create, 1);
        Assert.Equal(-EINVAL, Call(SYS_epoll_create, 0));
        Assert.Equal(-EINVAL, Call(SYS_epoll_create1, 1));
        Assert.Equal(-EFAULT, Call(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, reader, Unmapped));
        _guest.Write(Data, new epoll_event { events = EPOLLIN });
        Assert.Equal(-EBADF, Call(SYS_epoll_ctl, 99, EPOLL_CTL_ADD, reader, Data));
        Assert.Equal(-EBADF, Call(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, 99, Data));
        Assert.Equal(-EINVAL, Call(SYS_epoll_ctl, reader, EPOLL_CTL_ADD, epoll, Data));
        Assert.Equal(-EINVAL, Call(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, epoll, Data));
        Assert.Equal(-EINVAL, Call(SYS_epoll_ctl, epoll, 9, reader, Data));
        Assert.Equal(-EINVAL, Call(SYS_epoll_wait, epoll, Data, 0, 0));
        Assert.Equal(-EINVAL, Call(SYS_epoll_wait, epoll, Data, int.MaxValue, 0));
        Assert.Equal(-EINVAL, Call(SYS_epoll_wait, reader, Data, 1, 0));
        Assert.Equal(-EBADF, Call(SYS_epoll_wait, 99, Data, 1, 0));
        Assert.Equal(-EFAULT, Call(SYS_epoll_wait, epoll, ulong.MaxValue - 100, 1, 0));
        Assert.Equal(0, Call(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, reader, Data));
        _guest.Thread.SetWork(ThreadWork.Signal);
        Assert.Equal(-EINTR, Call(SYS_epoll_wait, epoll, Data, 1, ulong.MaxValue));
    }

    /// <summary>What a call with many entries holds counts as long as it waits.</summary>
    [Fact]
    public void Many_entries_are_charged()
    {
        Personality.Ipc.KernelMemory memory = _guest.Personality.KernelMemory;
        Personality.Ipc.PollSet set = _guest.Thread.PollSet;
        (ulong reader, _) = _guest.Pipe();
        long before = memory.Used;
        for (int i = 0; i < 256; i++)
            Assert.True(set.TryAdd((int)reader, Personality.Waiting.PollEvents.Readable));
        Assert.Equal(before, memory.Used);
        for (int i = 0; i < 800; i++)
            Assert.True(set.TryAdd((int)reader, Personality.Waiting.PollEvents.Readable));
        Assert.InRange(memory.Used - before, 800 * 96, 2048 * 96);
        Assert.True(memory.TryReserve(memory.Limit - memory.Used));
        while (set.TryAdd((int)reader, Personality.Waiting.PollEvents.Readable))
        {
        }
        long others = memory.Used;
        set.Clear();
        Assert.InRange(others - memory.Used, 800 * 96, 2048 * 96);
        Assert.True(set.TryAdd((int)reader, Personality.Waiting.PollEvents.Readable));
        set.Clear();
    }
}
