using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

public sealed class DeviceTests : IDisposable
{
    private readonly GuestTree _tree = new();

    [Fact]
    public void MemoryDevicesBehaveAsTheirManualsSay()
    {
        byte[] buffer = new byte[64];
        OpenFile device = _tree.MustOpen("/dev/null", O_RDWR | O_TRUNC);
        Assert.Equal(0, device.Read(buffer));
        Assert.Equal(64, device.Write(buffer));
        device.Release();

        buffer.AsSpan().Fill(7);
        device = _tree.MustOpen("/dev/zero", O_RDWR);
        Assert.Equal(64, device.Read(buffer));
        Assert.Equal(new byte[64], buffer);
        Assert.Equal(64, device.Write(buffer));
        device.Release();

        device = _tree.MustOpen("/dev/full", O_RDWR);
        Assert.Equal(-ENOSPC, device.Write(buffer));
        Assert.Equal(64, device.Read(buffer));
        device.Release();

        foreach (string name in new[] { "/dev/random", "/dev/urandom" })
        {
            buffer.AsSpan().Clear();
            device = _tree.MustOpen(name, O_RDONLY);
            Assert.Equal(64, device.Read(buffer));
            Assert.NotEqual(new byte[64], buffer);
            device.Release();
        }
        Assert.Equal(makedev(1, 3), _tree.Status("/dev/null").SpecialDevice);
        Assert.Equal((uint)S_IFCHR | 0x1b6, _tree.Status("/dev/null").Mode);
    }

    [Fact]
    public void TheDirectoryIsComplete()
    {
        Assert.Equal(
            [".", "..", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"],
            _tree.List("/dev").Order(StringComparer.Ordinal));
        Assert.Equal(-ENXIO, _tree.Try("/dev/tty", O_RDWR));
        Assert.Equal(-ENXIO, _tree.Try("/dev/ptmx", O_RDWR));
        Assert.Equal(-ENOENT, _tree.Try("/dev/pts/0", O_RDWR));
        Assert.Equal(-EROFS, _tree.Try("/dev/new", O_CREAT | O_RDWR, _tree.Superuser));
        _tree.Write("/dev/shm/x", "shared");
        Assert.Equal("shared", _tree.Read("/dev/shm/x"));
    }

    [Fact]
    public void ZeroCanBeMapped()
    {
        OpenFile zero = _tree.MustOpen("/dev/zero", O_RDWR);
        PagedObject pages = Assert.IsType<PagedObject>(zero.Mappable);
        Assert.True(pages.Length > 1L << 40);
        Assert.Equal(0, pages.PageCount);
        zero.Release();
        OpenFile other = _tree.MustOpen("/dev/null", O_RDWR);
        Assert.Null(other.Mappable);
        other.Release();
    }

    public void Dispose() => _tree.Dispose();
}
