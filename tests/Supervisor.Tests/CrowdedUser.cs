using Sandbox.Host;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

/// <summary>
/// More of this user's descriptors on their way between processes than this process is allowed, so that it may send no
/// more (ETOOMANYREFS); for threads that are not above such limits.
/// </summary>
sealed unsafe class CrowdedUser : IDisposable
{
    /// <summary>More than these tests have open, or opening would fail.</summary>
    const ulong Limit = 4096;

    readonly SeqpacketChannel _sender;
    readonly FileDescriptor _receiver;
    readonly rlimit64 _before;

    public CrowdedUser()
    {
        (FileDescriptor near, _receiver) = SeqpacketChannel.CreatePair();
        _sender = new SeqpacketChannel(near);
        FileDescriptor[] many = [.. Enumerable.Repeat(_receiver, SeqpacketChannel.MaxDescriptors)];
        for (int sent = 0; sent <= (int)Limit; sent += many.Length)
            Assert.True(_sender.SendUnlessFull(0L, many));
        rlimit64 before;
        Assert.Equal(0, prlimit64(0, RLIMIT_NOFILE, null, &before));
        _before = before;
        rlimit64 low = before with { rlim_cur = Limit };
        Assert.Equal(0, prlimit64(0, RLIMIT_NOFILE, &low, null));
    }

    public void Dispose()
    {
        rlimit64 before = _before;
        prlimit64(0, RLIMIT_NOFILE, &before, null);
        _receiver.Dispose();
        _sender.Dispose();
    }

    /// <summary>On a thread of its own, without the capabilities that overrule limits.</summary>
    public static void Run(Action action)
    {
        Exception? failure = null;
        var thread = new Thread(() => failure = Record.Exception(() =>
        {
            DropCapabilities();
            action();
        }));
        thread.Start();
        thread.Join();
        Assert.Null(failure);
    }

    static void DropCapabilities()
    {
        const uint above = 1u << CAP_SYS_ADMIN | 1u << CAP_SYS_RESOURCE;
        var header = new __user_cap_header_struct { version = _LINUX_CAPABILITY_VERSION_3 };
        // Two halves of 32 bits.
        __user_cap_data_struct* sets = stackalloc __user_cap_data_struct[2];
        Assert.Equal(0, syscall(SYS_capget, (nint)(&header), (nint)sets));
        sets[0].effective &= ~above;
        Assert.Equal(0, syscall(SYS_capset, (nint)(&header), (nint)sets));
    }
}
