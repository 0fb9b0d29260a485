using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Ipc;

public class EpollFileTests
{
    private static epoll_event Wanted(uint events, ulong data = 0) => new() { events = events, data = data };

    private static epoll_event[] Harvest(EpollFile epoll, int maximum = 8)
    {
        epoll_event[] events = new epoll_event[maximum];
        return events[..epoll.Harvest(null, events)];
    }

    private static void Signal(EventFile file) => Assert.Equal(8, file.Write(BitConverter.GetBytes(1UL)));

    private static void Drain(EventFile file) => file.Read(new byte[8]);

    [Fact]
    public void Level_triggered_reports_as_long_as_it_is_ready()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory);
        Assert.Equal(0, epoll.Add(null, file, 5, Wanted(EPOLLIN, 99)));
        Assert.Empty(Harvest(epoll));
        Assert.Equal(PollEvents.None, epoll.Poll());
        Signal(file);
        Assert.Equal(PollEvents.Readable, epoll.Poll());
        for (int i = 0; i < 3; i++)
        {
            epoll_event only = Assert.Single(Harvest(epoll));
            Assert.Equal(99UL, only.data);
            Assert.Equal((uint)EPOLLIN, only.events);
        }
        Drain(file);
        Assert.Empty(Harvest(epoll));
        Assert.Equal(PollEvents.None, epoll.Poll());
    }

    [Fact]
    public void Edge_triggered_reports_once_for_each_change()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory, 1);
        Assert.Equal(0, epoll.Add(null, file, 5, Wanted(EPOLLIN | EPOLLET)));
        Assert.Single(Harvest(epoll));
        Assert.Empty(Harvest(epoll));
        Signal(file);
        Assert.Single(Harvest(epoll));
        Assert.Empty(Harvest(epoll));
    }

    [Fact]
    public void Oneshot_reports_once_until_modified()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory, 1);
        Assert.Equal(0, epoll.Add(null, file, 5, Wanted(EPOLLIN | EPOLLONESHOT)));
        Assert.Single(Harvest(epoll));
        Signal(file);
        Assert.Empty(Harvest(epoll));
        Assert.Equal(0, epoll.Modify(null, file, 5, Wanted(EPOLLIN | EPOLLONESHOT)));
        Assert.Single(Harvest(epoll));
    }

    [Fact]
    public void The_interest_list_knows_its_entries()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory, 1);
        Assert.Equal(-ENOENT, epoll.Modify(null, file, 5, Wanted(EPOLLIN)));
        Assert.Equal(-ENOENT, epoll.Remove(file, 5));
        Assert.Equal(0, epoll.Add(null, file, 5, Wanted(EPOLLIN)));
        Assert.Equal(-EEXIST, epoll.Add(null, file, 5, Wanted(EPOLLIN)));
        // The same open file under another descriptor is another entry.
        Assert.Equal(0, epoll.Add(null, file, 6, Wanted(EPOLLIN)));
        Assert.Equal(2, Harvest(epoll).Length);
        Assert.Equal(0, epoll.Remove(file, 5));
        Assert.Single(Harvest(epoll));
    }

    [Fact]
    public void A_closed_file_disappears()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory, 1);
        long before = memory.Used;
        Assert.Equal(0, epoll.Add(null, file, 5, Wanted(EPOLLIN)));
        Assert.Single(Harvest(epoll));
        file.Release();
        Assert.Empty(Harvest(epoll));
        Assert.Equal(0, epoll.Count);
        Assert.Equal(before - KernelMemory.ObjectCost, memory.Used);
    }

    [Fact]
    public void A_closed_instance_gives_everything_back()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory, 1);
        epoll.Add(null, file, 5, Wanted(EPOLLIN));
        epoll.Release();
        Signal(file);
        file.Release();
        Assert.Equal(0, memory.Used);
    }

    [Fact]
    public void A_full_batch_rotates_so_that_nobody_starves()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        for (int i = 0; i < 10; i++)
            epoll.Add(null, Objects.Event(memory, 1), i, Wanted(EPOLLIN, (ulong)i));
        HashSet<ulong> seen = [];
        for (int round = 0; round < 4; round++)
        {
            foreach (epoll_event one in Harvest(epoll, 3))
                seen.Add(one.data);
        }
        Assert.Equal(10, seen.Count);
    }

    [Fact]
    public void An_instance_can_watch_another()
    {
        KernelMemory memory = Objects.Memory();
        EpollNesting nesting = new();
        EpollFile outer = Objects.Epoll(memory, nesting), inner = Objects.Epoll(memory, nesting);
        EventFile file = Objects.Event(memory);
        Assert.Equal(0, outer.Add(null, inner, 3, Wanted(EPOLLIN)));
        Assert.Equal(0, inner.Add(null, file, 4, Wanted(EPOLLIN)));
        Assert.Empty(Harvest(outer));
        Signal(file);
        Assert.Single(Harvest(outer));
        Drain(file);
        Assert.Empty(Harvest(outer));
    }

    [Fact]
    public void Circles_and_long_chains_are_refused()
    {
        KernelMemory memory = Objects.Memory();
        EpollNesting nesting = new();
        EpollFile[] chain = new EpollFile[6];
        for (int i = 0; i < chain.Length; i++)
            chain[i] = Objects.Epoll(memory, nesting);
        for (int i = 0; i < 4; i++)
            Assert.Equal(0, chain[i].Add(null, chain[i + 1], 3, Wanted(EPOLLIN)));
        Assert.Equal(-ELOOP, chain[4].Add(null, chain[5], 3, Wanted(EPOLLIN)));
        Assert.Equal(-ELOOP, chain[4].Add(null, chain[0], 3, Wanted(EPOLLIN)));
        Assert.Equal(-ELOOP, chain[1].Add(null, chain[0], 3, Wanted(EPOLLIN)));
        // What is taken apart may be joined again, the other way round.
        Assert.Equal(0, chain[0].Remove(chain[1], 3));
        Assert.Equal(0, chain[5].Add(null, chain[0], 3, Wanted(EPOLLIN)));
    }

    [Fact]
    public void Watching_is_bounded()
    {
        KernelMemory memory = Objects.Memory(64 * 1024);
        EpollFile epoll = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory);
        int added = 0;
        long result;
        while ((result = epoll.Add(null, file, added, Wanted(EPOLLIN))) == 0)
            added++;
        Assert.Equal(-ENOSPC, result);
        Assert.InRange(added, 100, 256);
    }

    [Fact]
    public void Closing_many_entries_takes_no_longer_than_making_them()
    {
        KernelMemory memory = Objects.Memory(64 << 20);
        EpollFile epoll = Objects.Epoll(memory), other = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory);
        for (int i = 0; i < 100_000; i++)
        {
            Assert.Equal(0, epoll.Add(null, file, i, Wanted(EPOLLIN)));
            Assert.Equal(0, other.Add(null, file, i, Wanted(EPOLLIN)));
        }
        long before = Environment.TickCount64;
        epoll.Release();
        file.Release();
        Assert.Equal(0, other.Count);
        other.Release();
        Assert.InRange(Environment.TickCount64 - before, 0, 10_000);
        Assert.Equal(0, memory.Used);
    }

    [Fact]
    public void No_event_is_lost_between_threads()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        EventFile[] files = new EventFile[4];
        for (int i = 0; i < files.Length; i++)
        {
            files[i] = Objects.Event(memory, flags: EFD_SEMAPHORE);
            epoll.Add(null, files[i], i, Wanted(EPOLLIN | EPOLLET, (ulong)i));
        }
        const int Each = 20000;
        Thread[] producers = new Thread[files.Length];
        for (int i = 0; i < files.Length; i++)
        {
            EventFile file = files[i];
            producers[i] = new Thread(() =>
            {
                for (int n = 0; n < Each; n++)
                    Signal(file);
            });
            producers[i].Start();
        }

        Parker parker = new();
        ThreadWaitEntry entry = new(parker);
        epoll.Waiters!.Add(entry);
        int taken = 0;
        while (taken < Each * files.Length)
        {
            epoll_event[] ready = Harvest(epoll);
            if (ready.Length == 0)
                Assert.True(parker.Park(HostClock.MonotonicNanoseconds() + 20_000_000_000), "an event was lost");
            foreach (epoll_event one in ready)
            {
                while (files[one.data].Read(new byte[8]) == 8)
                    taken++;
            }
        }
        foreach (Thread producer in producers)
            producer.Join();
    }

    /// <summary>A hundred descriptors at each level make 10^10 ways; none is gone twice while nobody has looked.</summary>
    [Fact]
    public void An_event_does_not_go_every_way_through_instances_that_watch_each_other()
    {
        KernelMemory memory = Objects.Memory();
        EpollNesting nesting = new();
        EventFile file = Objects.Event(memory);
        OpenFile inner = file;
        EpollFile outermost = null!;
        for (int level = 0; level < 5; level++)
        {
            outermost = Objects.Epoll(memory, nesting);
            for (int descriptor = 0; descriptor < 100; descriptor++)
                Assert.Equal(0, outermost.Add(null, inner, descriptor, Wanted(EPOLLIN)));
            inner = outermost;
        }
        for (int round = 0; round < 3; round++)
        {
            Thread writer = new(() => Signal(file)) { IsBackground = true };
            writer.Start();
            Assert.True(writer.Join(TimeSpan.FromMinutes(1)));
            Assert.NotEmpty(Harvest(outermost));
            Drain(file);
            Assert.Empty(Harvest(outermost));
        }
    }

    [Fact]
    public void One_call_reports_a_file_once()
    {
        KernelMemory memory = Objects.Memory();
        EpollFile epoll = Objects.Epoll(memory);
        EventFile file = Objects.Event(memory);
        epoll.Add(null, file, 0, Wanted(EPOLLIN));
        using CancellationTokenSource done = new();
        Thread toggles = new(() =>
        {
            while (!done.IsCancellationRequested)
            {
                Signal(file);
                Drain(file);
            }
        });
        toggles.Start();
        for (int i = 0; i < 200_000; i++)
            Assert.InRange(Harvest(epoll, 64).Length, 0, 1);
        done.Cancel();
        toggles.Join();
    }

    /// <summary>What is polled may be closed by its other users meanwhile, and closing wants other instances' locks.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_file_that_closes_while_it_is_polled_does_so_without_locks(bool modify)
    {
        KernelMemory memory = Objects.Memory();
        EpollNesting nesting = new();
        EpollFile outer = Objects.Epoll(memory, nesting), inner = Objects.Epoll(memory, nesting);
        bool? isFree = null;
        FleetingFile file = new(() =>
        {
            Thread other = new(() => _ = outer.Count) { IsBackground = true };
            other.Start();
            isFree = other.Join(TimeSpan.FromSeconds(10));
        });
        Assert.Equal(0, inner.Add(null, file, 1, Wanted(EPOLLIN)));
        if (modify)
        {
            Assert.Equal(0, outer.Add(null, inner, 2, Wanted(EPOLLIN)));
            file.LeaveAtPoll();
            Assert.Equal(0, outer.Modify(null, inner, 2, Wanted(EPOLLIN)));
        }
        else
        {
            file.LeaveAtPoll();
            Assert.Equal(0, outer.Add(null, inner, 2, Wanted(EPOLLIN)));
        }
        Assert.True(isFree);
        Assert.Equal(0, inner.Count);
    }

    /// <summary>Is always ready; its other user closes it while it is polled.</summary>
    private sealed class FleetingFile(Action closed) : OpenFile(O_RDONLY)
    {
        private readonly WaitQueue _waiters = new();
        private bool _leaves;

        public override string DisplayName => "fleeting";

        public override WaitQueue? Waiters => _waiters;

        public void LeaveAtPoll() => _leaves = true;

        public override PollEvents Poll()
        {
            if (_leaves)
            {
                _leaves = false;
                Release();
            }
            return PollEvents.Readable;
        }

        public override long GetStatus(out stat status)
        {
            status = default;
            return 0;
        }

        protected override void Close() => closed();
    }
}
