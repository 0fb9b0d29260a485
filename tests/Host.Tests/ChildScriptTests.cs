using System.Text;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Host.Tests;

/// <summary>Children that make system calls and nothing else, while the garbage collector is at work.</summary>
public sealed unsafe class ChildScriptTests
{
    private static int End(int pid)
    {
        int status;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        {
        }
        return status;
    }

    private static int Run(ChildScript script, out (string Name, int Errno)? failure)
    {
        Assert.Equal(0, script.Start(0, -1, out int pid, out FileDescriptor? pidfd));
        pidfd!.Dispose();
        script.WaitUntilGone();
        failure = script.Failure;
        return End(pid);
    }

    private static void AddShell(ChildScript script, string command)
    {
        nint shell = script.PlaceText("/bin/sh");
        nint arguments = script.PlaceList(shell, script.PlaceText("-c"), script.PlaceText(command));
        script.Add("execve", SYS_execve, shell, arguments, script.PlaceList());
    }

    [Fact]
    public void The_last_call_becomes_the_program()
    {
        using ChildScript script = new();
        script.Add("umask", SYS_umask, 0x3f);
        AddShell(script, "test $(umask) = 0077 && exit 42");
        int status = Run(script, out var failure);
        Assert.Null(failure);
        Assert.Equal(42, WEXITSTATUS(status));
    }

    [Fact]
    public void A_call_that_fails_is_named_and_nothing_comes_after_it()
    {
        using ChildScript script = new();
        script.AddTolerating(EBADF, "close", SYS_close, -1);
        script.Add("chdir", SYS_chdir, script.PlaceText("/no such place"));
        AddShell(script, "exit 0");
        int status = Run(script, out var failure);
        Assert.Equal(("chdir", ENOENT), failure);
        Assert.Equal(125, WEXITSTATUS(status));
    }

    [Fact]
    public void A_tolerated_error_is_that_one_only()
    {
        using ChildScript script = new();
        script.AddTolerating(EINVAL, "close", SYS_close, -1);
        AddShell(script, "exit 0");
        Run(script, out var failure);
        Assert.Equal(("close", EBADF), failure);
    }

    [Fact]
    public void An_execve_that_fails_is_told_too()
    {
        using ChildScript script = new();
        script.Add("execve", SYS_execve, script.PlaceText("/no such program"), script.PlaceList(), script.PlaceList());
        Run(script, out var failure);
        Assert.Equal(("execve", ENOENT), failure);
    }

    [Fact]
    public void A_child_that_is_killed_half_way_has_not_become_the_program()
    {
        using ChildScript script = new();
        script.AddHold();
        AddShell(script, "exit 0");
        Assert.Equal(0, script.Start(0, -1, out int pid, out FileDescriptor? pidfd));
        using (pidfd)
            Assert.Equal(0, pidfd_send_signal(pidfd!.Value, SIGKILL));
        script.WaitUntilGone();
        Assert.NotNull(script.Failure);
        Assert.True(WIFSIGNALED(End(pid)));
    }

    [Fact]
    public void A_hold_waits_for_its_release()
    {
        using ChildScript script = new();
        script.AddHold();
        AddShell(script, "exit 7");
        Assert.Equal(0, script.Start(0, -1, out int pid, out FileDescriptor? pidfd));
        using (pidfd)
        {
            pollfd end = new() { fd = pidfd!.Value, events = POLLIN };
            Assert.Equal(0, poll(&end, 1, 50));
            script.Release();
            script.WaitUntilGone();
            Assert.Null(script.Failure);
        }
        Assert.Equal(7, WEXITSTATUS(End(pid)));
    }

    [Fact]
    public void A_child_that_ends_with_its_parent_goes_on_while_that_lives()
    {
        using ChildScript script = new();
        script.AddEndWithParent();
        AddShell(script, "exit 7");
        Assert.Equal(7, WEXITSTATUS(Run(script, out var failure)));
        Assert.Null(failure);
    }

    [Fact]
    public void A_child_whose_parent_is_gone_before_it_looks_ends_there()
    {
        using ChildScript script = new();
        script.AddHold();
        FileDescriptor parents = script.AddEndWithParent();
        AddShell(script, "exit 7");
        Assert.Equal(0, script.Start(0, -1, out int pid, out FileDescriptor? pidfd));
        using (pidfd)
        {
            parents.Dispose();
            script.Release();
            script.WaitUntilGone();
        }
        Assert.Equal(("write to its parent", EPIPE), script.Failure);
        Assert.Equal(125, WEXITSTATUS(End(pid)));
    }

    [Fact]
    public void A_clock_tells_when_the_child_got_there()
    {
        using ChildScript script = new();
        Assert.Equal(0, script.ClockNanoseconds);
        script.AddClock();
        AddShell(script, "exit 0");
        long before = HostClock.MonotonicNanoseconds();
        Run(script, out var failure);
        Assert.Null(failure);
        Assert.InRange(script.ClockNanoseconds, before, HostClock.MonotonicNanoseconds());
    }

    [Fact]
    public void More_steps_or_more_data_than_there_is_room_for_are_refused()
    {
        using ChildScript script = new();
        for (int i = 0; i < 255; i++)
            script.Add("getpid", SYS_getpid);
        Assert.Throws<InvalidOperationException>(() => script.Add("getpid", SYS_getpid));
        Assert.Throws<ArgumentOutOfRangeException>(() => script.PlaceText(new string('x', 100_000)));
    }

    /// <summary>
    /// The reason for all this: a child of a program whose other threads allocate, collect, and hold the allocator's and
    /// the loader's locks at any moment.
    /// </summary>
    [Fact]
    public void Two_hundred_children_start_while_the_collector_is_busy()
    {
        using CancellationTokenSource stop = new();
        Thread[] busy = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            List<byte[]> kept = [];
            while (!stop.IsCancellationRequested)
            {
                kept.Add(Encoding.UTF8.GetBytes(new string('x', 20_000)));
                if (kept.Count > 100)
                    kept.Clear();
                GC.Collect(1, GCCollectionMode.Forced, blocking: true);
                using MemoryMapping mapping = MemoryMapping.Map(1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
            }
        }))];
        foreach (Thread thread in busy)
            thread.Start();
        try
        {
            for (int i = 0; i < 200; i++)
            {
                using ChildScript script = new();
                AddShell(script, $"exit {i % 100}");
                Assert.Equal(i % 100, WEXITSTATUS(Run(script, out _)));
            }
        }
        finally
        {
            stop.Cancel();
            foreach (Thread thread in busy)
                thread.Join();
        }
    }
}
