using Sandbox.Host;
using Sandbox.Vmm;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Processes;

/// <summary>System calls that one thread makes for others. Filters have tests of their own.</summary>
public sealed unsafe class ErrandsTests
{
    /// <summary>What somebody was answered who had asked before there was a thread.</summary>
    private static readonly long s_early = AskTooEarly();

    private static long AskTooEarly()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("errand", 0);
        using ManualResetEventSlim asks = new();
        long answer = 0;
        Thread asker = new(() =>
        {
            asks.Set();
            answer = Errands.Ask(SYS_lseek, file.Value, 7, SEEK_SET);
        });
        asker.Start();
        asks.Wait();
        Assert.False(asker.Join(20));
        Errands.Start();
        asker.Join();
        return answer;
    }

    [Fact]
    public void Who_asks_before_there_is_a_thread_waits_for_it() => Assert.Equal(7, s_early);

    [Fact]
    public void An_error_is_the_askers()
    {
        Assert.Equal(7, s_early);
        Assert.Equal(-EBADF, Errands.Ask(SYS_lseek, -1, 0, SEEK_SET));
        Assert.Equal(-EFAULT, Errands.Ask(SYS_symlinkat, 1, AT_FDCWD, 1));
        using FileDescriptor file = FileDescriptor.CreateMemory("errand", 0);
        Assert.Equal(-ENOTSOCK, Errands.Ask(SYS_shutdown, file.Value, SHUT_WR));
    }

    [Fact]
    public void All_arguments_arrive_and_pointers_are_good_until_the_answer()
    {
        Assert.Equal(7, s_early);
        using FileDescriptor file = FileDescriptor.CreateMemory("errand", 0);
        Assert.Equal(0, Errands.Ask(SYS_fallocate, file.Value, FALLOC_FL_KEEP_SIZE, 4096, 8192));
        Assert.Equal(0, file.GetStatus(out stat status));
        Assert.Equal((0, 16), (status.st_size, status.st_blocks));
        (FileDescriptor first, FileDescriptor second) = FileDescriptor.CreateStreams();
        using (first)
        using (second)
        {
            int kind = 0;
            uint length = sizeof(int);
            Assert.Equal(0, Errands.Ask(SYS_getsockopt, first.Value, SOL_SOCKET, SO_TYPE, (nint)(&kind), (nint)(&length)));
            Assert.Equal(SOCK_STREAM, kind);
        }
    }

    [Fact]
    public void Of_many_who_ask_at_once_each_gets_its_own_answer()
    {
        const int Threads = 8, Each = 500;
        Assert.Equal(7, s_early);
        using FileDescriptor file = FileDescriptor.CreateMemory("errand", 0);
        int wrong = 0;
        Thread[] askers = [.. Enumerable.Range(1, Threads).Select(asker => new Thread(() =>
        {
            for (int i = 0; i < Each; i++)
            {
                int position = asker * Each + i;
                if (Errands.Ask(SYS_lseek, file.Value, position, SEEK_SET) != position)
                    Interlocked.Increment(ref wrong);
            }
        }))];
        foreach (Thread asker in askers)
            asker.Start();
        foreach (Thread asker in askers)
            asker.Join();
        Assert.Equal(0, wrong);
    }

    [Fact]
    public void An_errand_allocates_nothing()
    {
        Assert.Equal(7, s_early);
        using FileDescriptor file = FileDescriptor.CreateMemory("errand", 0);
        Errands.Ask(SYS_lseek, file.Value, 1, SEEK_SET);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            Errands.Ask(SYS_lseek, file.Value, 1, SEEK_SET);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Its_cost_is_the_askers_once()
    {
        const int Bytes = 16 << 20;
        Assert.Equal(7, s_early);
        using FileDescriptor file = FileDescriptor.CreateMemory("errand", 0);
        Errands.Ask(SYS_lseek, file.Value, 0, SEEK_SET);
        Errands.TakeCost();
        Assert.Equal(0, Errands.Ask(SYS_fallocate, file.Value, 0, 0, Bytes));
        // Memory is made and cleared: a nanosecond for every KiB at the very least.
        Assert.InRange(Errands.TakeCost(), Bytes / 1024, long.MaxValue);
        Assert.Equal(0, Errands.TakeCost());
    }

    [Fact]
    public void A_thread_without_a_role_makes_the_call_itself()
    {
        using FileDescriptor file = FileDescriptor.CreateMemory("errand", 0);
        Errands.TakeCost();
        Assert.Equal(3, Errands.Call(SYS_lseek, file.Value, 3, SEEK_SET));
        Assert.Equal(-EINVAL, Errands.Call(SYS_lseek, file.Value, -1, SEEK_SET));
        Assert.Equal(0, Errands.TakeCost());
    }
}
