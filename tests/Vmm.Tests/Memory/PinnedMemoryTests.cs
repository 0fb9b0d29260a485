using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Tests.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Memory;

/// <summary>Guest memory lent to host calls, and the large transfers that use it.</summary>
public sealed class PinnedMemoryTests : IDisposable
{
    private const ulong Data = DirectGuest.Data, Unmapped = DirectGuest.Unmapped;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private AddressSpace Memory => _guest.Memory;

    private ulong MemoryFile()
    {
        _guest.Write(Data, "file\0"u8);
        return (ulong)_guest.Call(SYS_memfd_create, Data, 0);
    }

    [Theory]
    [InlineData(16 << 10, 0)]
    [InlineData(64 << 10, 4095)]
    [InlineData(100_001, 1)]
    public void Large_transfers_arrive_whole(int length, int misalignment)
    {
        ulong file = MemoryFile();
        byte[] bytes = Objects.Bytes(length);
        ulong from = Data + (ulong)misalignment, to = Data + 0x20000 + (ulong)misalignment;
        _guest.Write(from, bytes);
        Assert.Equal(length, _guest.Call(SYS_write, file, from, (ulong)length));
        Assert.Equal(0, _guest.Call(SYS_lseek, file, 0, SEEK_SET));
        Assert.Equal(length, _guest.Call(SYS_read, file, to, 0x1f000));
        Assert.Equal(bytes, _guest.Read(to, length));
        Assert.Equal(0, _guest.Call(SYS_read, file, to, 0x10000));
        Assert.Equal(length, _guest.Call(SYS_pwrite64, file, from, (ulong)length, 5));
        Assert.Equal(length, _guest.Call(SYS_pread64, file, to, (ulong)length, 5));
        Assert.Equal(bytes, _guest.Read(to, length));
    }

    [Fact]
    public void Large_transfers_end_where_memory_ends()
    {
        ulong file = MemoryFile();
        Assert.Equal(70_000, _guest.Call(SYS_write, file, Unmapped - 70_000, 200_000));
        Assert.Equal(40_000, _guest.Call(SYS_pread64, file, Unmapped - 40_000, 200_000, 0));
        Assert.Equal(-EFAULT, _guest.Call(SYS_pread64, file, Unmapped, 200_000, 0));
        Assert.Equal(0, _guest.Call(SYS_mprotect, Data + 0x8000, 0x1000, PROT_READ));
        Assert.Equal(0x8000, _guest.Call(SYS_pread64, file, Data, 0x10000, 0));
    }

    [Fact]
    public void A_file_size_limit_holds_for_large_writes()
    {
        ulong file = MemoryFile();
        _guest.WriteWords(Data + 64, 50_000, 50_000);
        Assert.Equal(0, _guest.Call(SYS_prlimit64, 0, RLIMIT_FSIZE, Data + 64, 0));
        Assert.Equal(50_000, _guest.Call(SYS_write, file, Data, 100_000));
    }

    [Fact]
    public void Only_memory_that_the_program_may_use_so_can_be_pinned()
    {
        Assert.True(Memory.TryPin(new VirtualAddress(Data + 10), 0x4000, 0x4000, write: true, out var pinned));
        Assert.Equal(0x4000, pinned.Bytes.Length);
        pinned.Dispose();
        Assert.False(Memory.TryPin(new VirtualAddress(Unmapped - 0x3000), 0x4000, 0x4000, write: false, out _));
        Assert.False(Memory.TryPin(new VirtualAddress(0xffff_ff00_0000_1000), 0x4000, 1, write: false, out _));
        Assert.Equal(0, _guest.Call(SYS_mprotect, Data, 0x4000, PROT_READ));
        Assert.False(Memory.TryPin(new VirtualAddress(Data), 0x4000, 1, write: true, out _));
        Assert.True(Memory.TryPin(new VirtualAddress(Data), 0x4000, 0x4000, write: false, out pinned));
        pinned.Dispose();
    }

    [Fact]
    public void Pinned_pages_are_nobody_elses_even_when_unmapped()
    {
        Assert.True(Memory.TryPin(new VirtualAddress(Data), 0x4000, 0x4000, write: true, out var pinned));
        Assert.Equal(0, _guest.Call(SYS_munmap, Data, 0x4000));
        // No processor runs here, which would complete the edits.
        Assert.True(Memory.CompleteEdits(_guest.Thread.Cpu));
        Assert.Equal((long)Data, Memory.Map(
            new VirtualAddress(Data), 0x4000, Protection.ReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, null, 0));
        Assert.Equal(new byte[0x4000], _guest.Read(Data, 0x4000));
        pinned.Bytes.Fill(0xaa);
        Assert.Equal(new byte[0x4000], _guest.Read(Data, 0x4000));
        pinned.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Fork_and_mprotect_wait_for_calls_that_write_into_pages(bool fork)
    {
        _guest.Write(Data, 0);
        Assert.True(Memory.TryPin(new VirtualAddress(Data), 0x4000, 0x4000, write: true, out var pinned));
        AddressSpace? child = null;
        Thread other = new(() =>
        {
            if (fork)
                child = Memory.Fork(_guest.Thread.Cpu);
            else
                Memory.Protect(new VirtualAddress(Data), 0x4000, Protection.Read);
        });
        other.Start();
        Assert.False(other.Join(50));
        // While they wait no new call begins: they will get their turn.
        Assert.False(Memory.TryPin(new VirtualAddress(Data), 0x4000, 1, write: true, out _));
        Assert.True(Memory.TryPin(new VirtualAddress(Data), 0x4000, 1, write: false, out var readOnly));
        readOnly.Dispose();
        pinned.Bytes[0] = 42;
        pinned.Dispose();
        other.Join();
        Assert.Equal(42, _guest.Read<byte>(Data));
        if (child is null)
            return;
        Assert.True(child.TryRead(new VirtualAddress(Data), out byte inChild));
        Assert.Equal(42, inChild);
        Assert.True(Memory.TryPin(new VirtualAddress(Data), 0x4000, 0x1000, write: true, out pinned));
        pinned.Bytes[0] = 43;
        pinned.Dispose();
        Assert.True(child.TryRead(new VirtualAddress(Data), out inChild));
        Assert.Equal(42, inChild);
        child.Release();
    }
}
