using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Tests.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>inotify's bounds; which events there are is compared with Linux by guests/watches.c.</summary>
public sealed class FileWatchesTests : IDisposable
{
    private const ulong Data = DirectGuest.Data;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private long Used => _guest.Personality.KernelMemory.Used;

    private FileWatches Watches => _guest.Personality.Files.Watches;

    private ulong Path(string path)
    {
        _guest.Write(Data, GuestTree.Bytes(path + "\0"));
        return Data;
    }

    private ulong NewInstance()
    {
        long descriptor = _guest.Call(SYS_inotify_init1, IN_NONBLOCK);
        Assert.True(descriptor >= 0);
        return (ulong)descriptor;
    }

    [Fact]
    public void Closing_an_instance_gives_back_its_watches_and_events()
    {
        long before = Used;
        ulong instance = NewInstance();
        Assert.False(Watches.IsInUse);
        Assert.Equal(1, _guest.Call(SYS_inotify_add_watch, instance, Path("/tmp"), IN_ALL_EVENTS));
        Assert.True(Watches.IsInUse);
        for (int i = 0; i < 100; i++)
            Assert.Equal(0, _guest.Call(SYS_mkdir, Path($"/tmp/{i}"), 0x1ff));
        Assert.True(Used > before + 100);
        Assert.Equal(0, _guest.Call(SYS_close, instance));
        Assert.Equal(before, Used);
        Assert.False(Watches.IsInUse);
    }

    [Fact]
    public void Reading_and_removing_give_back_what_they_take_away()
    {
        ulong instance = NewInstance();
        long before = Used;
        Assert.Equal(1, _guest.Call(SYS_inotify_add_watch, instance, Path("/tmp"), IN_CREATE));
        Assert.Equal(0, _guest.Call(SYS_mkdir, Path("/tmp/a"), 0x1ff));
        Assert.Equal(0, _guest.Call(SYS_inotify_rm_watch, instance, 1));
        Assert.Equal(-EINVAL, _guest.Call(SYS_inotify_rm_watch, instance, 1));
        Assert.Equal(32 + 16, _guest.Call(SYS_read, instance, Data, 4096));
        Assert.Equal(-EAGAIN, _guest.Call(SYS_read, instance, Data, 4096));
        Assert.Equal(before, Used);
    }

    [Fact]
    public void Watches_are_bounded_by_the_memory_for_kernel_objects()
    {
        ulong instance = NewInstance();
        Assert.Equal(0, _guest.Call(SYS_mkdir, Path("/tmp/free"), 0x1ff));
        Assert.Equal(0, _guest.Call(SYS_mkdir, Path("/tmp/full"), 0x1ff));
        Assert.Equal(1, _guest.Call(SYS_inotify_add_watch, instance, Path("/tmp/free"), IN_CREATE));
        KernelMemory memory = _guest.Personality.KernelMemory;
        long rest = memory.Limit - memory.Used;
        Assert.True(memory.TryReserve(rest));
        Assert.Equal(-ENOSPC, _guest.Call(SYS_inotify_add_watch, instance, Path("/tmp/full"), IN_CREATE));
        // An event that there is no room for is told as lost, once.
        Assert.Equal(0, _guest.Call(SYS_mknod, Path("/tmp/free/a"), S_IFREG | 0x1b6));
        memory.Release(rest);
        Assert.Equal(16, _guest.Call(SYS_read, instance, Data, 4096));
        Assert.Equal(unchecked((uint)-1), _guest.Read<uint>(Data));
        Assert.Equal((uint)IN_Q_OVERFLOW, _guest.Read<uint>(Data + 4));
    }
}
