using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Tests.Ipc;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>Seals of memory files hold against mappings, too (memfd_create(2), F_ADD_SEALS in fcntl(2)).</summary>
public sealed class SealTests : IDisposable
{
    private const ulong Data = DirectGuest.Data;

    private readonly DirectGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private ulong MemoryFile()
    {
        _guest.Write(Data, "file\0"u8);
        ulong file = (ulong)_guest.Call(SYS_memfd_create, Data, MFD_ALLOW_SEALING);
        Assert.Equal(0, _guest.Call(SYS_ftruncate, file, 4 * Page.Size));
        return file;
    }

    private long Map(ulong file, int protection, int flags = MAP_SHARED, ulong pages = 1) =>
        _guest.Call(SYS_mmap, 0, pages * Page.Size, (ulong)protection, (ulong)flags, file);

    private long Unmap(long address, ulong pages = 1) =>
        _guest.Call(SYS_munmap, (ulong)address, pages * Page.Size);

    private long Protect(long address, int protection) =>
        _guest.Call(SYS_mprotect, (ulong)address, Page.Size, (ulong)protection);

    private long Seal(ulong file, int seals) => _guest.Call(SYS_fcntl, file, F_ADD_SEALS, (ulong)seals);

    [Fact]
    public void WhatIsMappedForWritingIsNotSealed()
    {
        ulong file = MemoryFile();
        long writable = Map(file, PROT_READ | PROT_WRITE, pages: 3);
        Assert.Equal(-EBUSY, Seal(file, F_SEAL_WRITE));
        // It could become writable again, as could each piece.
        Assert.Equal(0, Protect(writable + Page.Size, PROT_READ));
        Assert.Equal(-EBUSY, Seal(file, F_SEAL_WRITE | F_SEAL_GROW));
        Assert.Equal(0, _guest.Call(SYS_fcntl, file, F_GET_SEALS));
        Assert.Equal(0, Unmap(writable));
        Assert.Equal(0, Unmap(writable + 2 * Page.Size));
        Assert.Equal(-EBUSY, Seal(file, F_SEAL_WRITE));
        AddressSpace child = _guest.Memory.Fork(_guest.Thread.Cpu)!;
        long moved = _guest.Call(
            SYS_mremap, (ulong)writable + Page.Size, Page.Size, 2 * Page.Size, MREMAP_MAYMOVE);
        Assert.True(moved > 0, $"{moved}");
        Assert.Equal(0, Unmap(moved, 2));
        Assert.Equal(-EBUSY, Seal(file, F_SEAL_WRITE));
        child.Release();
        // Copies, and mappings by a descriptor that cannot write, are no writers.
        _guest.Write(Data, System.Text.Encoding.ASCII.GetBytes($"/proc/self/fd/{file}\0"));
        ulong reader = (ulong)_guest.Call(SYS_openat, unchecked((ulong)AT_FDCWD), Data, O_RDONLY);
        Assert.True(Map(file, PROT_READ | PROT_WRITE, MAP_PRIVATE) > 0);
        Assert.True(Map(reader, PROT_READ) > 0);
        Assert.Equal(0, Seal(file, F_SEAL_WRITE));
    }

    [Theory]
    [InlineData(F_SEAL_WRITE)]
    [InlineData(F_SEAL_FUTURE_WRITE)]
    public void WhatIsSealedIsNotMappedForWriting(int seal)
    {
        ulong file = MemoryFile();
        Assert.Equal(0, Seal(file, seal));
        Assert.Equal(-EPERM, Map(file, PROT_READ | PROT_WRITE));
        // Nothing is lost that was there.
        Assert.Equal(-EPERM, _guest.Call(
            SYS_mmap, Data, Page.Size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file));
        _guest.Write(Data, 1);
        long readable = Map(file, PROT_READ);
        Assert.True(readable > 0, $"{readable}");
        Assert.Equal(-EACCES, Protect(readable, PROT_READ | PROT_WRITE));
        Assert.Equal(-EACCES, _guest.Call(SYS_madvise, (ulong)readable, Page.Size, MADV_REMOVE));
        Assert.Equal(0, Seal(file, F_SEAL_WRITE));
    }

    [Fact]
    public void WhatIsSealedForTheFutureKeepsItsWriters()
    {
        ulong file = MemoryFile();
        long writable = Map(file, PROT_READ | PROT_WRITE, pages: 2);
        Assert.Equal(0, Seal(file, F_SEAL_FUTURE_WRITE));
        Assert.Equal(0, Protect(writable, PROT_READ));
        Assert.Equal(0, Protect(writable, PROT_READ | PROT_WRITE));
        Assert.True(Map(file, PROT_READ) > 0);
        Assert.Equal(-EBUSY, Seal(file, F_SEAL_WRITE));
        Assert.Equal(0, Unmap(writable, 2));
        Assert.Equal(0, Seal(file, F_SEAL_WRITE));
    }

    [Fact]
    public void AFailedMappingIsNoWriter()
    {
        ulong file = MemoryFile();
        Assert.Equal(-EEXIST, _guest.Call(
            SYS_mmap, Data, Page.Size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, file));
        Assert.Equal(0, Seal(file, F_SEAL_WRITE));
    }
}
