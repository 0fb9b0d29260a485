using Xunit;

namespace Sandbox.Host.Tests;

public class WorkThreadTests
{
    [Fact]
    public void It_runs_under_its_name_on_a_thread_of_its_own()
    {
        int id = 0;
        string name = "";
        WorkThread thread = WorkThread.Start("work", 256 << 10, () =>
        {
            id = HostThread.Id;
            name = File.ReadAllText($"/proc/self/task/{id}/comm");
        });
        thread.Join();
        Assert.NotEqual(0, id);
        Assert.NotEqual(HostThread.Id, id);
        Assert.Equal("work\n", name);
        Assert.True(thread.Join(TimeSpan.Zero));
    }

    [Fact]
    public void Without_a_name_it_has_its_starters()
    {
        string name = "";
        WorkThread.Start("starter", 256 << 10, () => WorkThread.Start(null, 256 << 10, () =>
            name = File.ReadAllText($"/proc/self/task/{HostThread.Id}/comm")).Join()).Join();
        Assert.Equal("starter\n", name);
    }

    [Fact]
    public void Waiting_for_one_that_goes_on_has_its_limit()
    {
        using ManualResetEventSlim end = new();
        WorkThread thread = WorkThread.Start("work", 128 << 10, end.Wait);
        Assert.False(thread.Join(TimeSpan.FromMilliseconds(1)));
        end.Set();
        thread.Join();
    }

    [Fact]
    public void What_it_allocates_survives_collections()
    {
        List<byte[]> kept = [];
        WorkThread thread = WorkThread.Start("work", 256 << 10, () =>
        {
            for (int i = 0; i < 1000; i++)
            {
                kept.Add([(byte)i]);
                if (i % 100 == 0)
                    GC.Collect();
            }
        });
        thread.Join();
        for (int i = 0; i < 1000; i++)
            Assert.Equal((byte)i, kept[i][0]);
    }

    [Fact]
    public void A_stack_that_cannot_be_is_an_error() =>
        Assert.Equal(Libc.EINVAL, Assert.Throws<HostException>(() => WorkThread.Start("work", 100, static () => { })).Errno);
}
