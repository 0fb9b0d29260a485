using System.Diagnostics;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Machine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public sealed class AgentInitramfsTests : IDisposable
{
    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("initramfs-");

    public void Dispose() => _folder.Delete(recursive: true);

    static AgentOrder Order { get; } = new()
    {
        Modules = [], WritableRoot = false, Arguments = ["true"], Environment = [], WorkingDirectory = "/", Hostname = "h",
        Terminal = null,
        Interfaces = [],
    };

    /// <summary>A module that depends on others, as the kernel's build leaves it.</summary>
    void Module(string path, string depends)
    {
        string file = Path.Combine(_folder.FullName, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, $"\u007fELF license=GPL\0depends={depends}\0retpoline=Y\0");
    }

    [Fact]
    public void ModulesComeBehindWhatTheyDependOnAndOnce()
    {
        Module("kernel/fs/ext4/ext4.ko", "jbd2,mbcache,crc16");
        Module("kernel/fs/jbd2/jbd2.ko", "");
        Module("kernel/lib/crc16.ko", "");
        Module("kernel/fs/mbcache.ko", "");
        Module("kernel/drivers/virtio/virtio-mmio.ko", "virtio_ring,virtio");
        Module("kernel/drivers/virtio/virtio.ko", "");
        Module("kernel/drivers/virtio/virtio_ring.ko", "virtio");
        var modules = new KernelModules(_folder.FullName);
        Assert.True(modules.TryAdd("virtio_mmio"));
        Assert.True(modules.TryAdd("ext4"));
        Assert.True(modules.TryAdd("jbd2"));
        Assert.False(modules.TryAdd("nothing"));
        Assert.Equal(
            ["virtio.ko", "virtio_ring.ko", "virtio_mmio.ko", "jbd2.ko", "mbcache.ko", "crc16.ko", "ext4.ko"],
            modules.Loading.Select(module => module.Name));
    }

    [Fact]
    public void ModulesThatDependOnEachOtherEnd()
    {
        Module("a.ko", "b");
        Module("b.ko", "a");
        var modules = new KernelModules(_folder.FullName);
        Assert.True(modules.TryAdd("a"));
        Assert.Equal(2, modules.Loading.Count);
    }

    [Fact]
    public void CompressedModulesAreRefusedInOneLine()
    {
        File.WriteAllText(Path.Combine(_folder.FullName, "ext4.ko.xz"), "x");
        var modules = new KernelModules(_folder.FullName);
        Assert.Contains("is compressed", Assert.Throws<UsageException>(() => modules.TryAdd("ext4")).Message, StringComparison.Ordinal);
        Assert.Throws<UsageException>(() => new KernelModules("/nonexistent"));
    }

    [Fact]
    public void CpioReadsTheArchive()
    {
        Assert.SkipUnless(File.Exists("/bin/busybox"), "busybox is not installed");
        Module("ext4.ko", "");
        byte[] archive = AgentInitramfs.Archive("agent"u8, new KernelModules(_folder.FullName), Order);
        string file = Path.Combine(_folder.FullName, "archive");
        File.WriteAllBytes(file, archive);
        using Process process = Process.Start(new ProcessStartInfo("/bin/busybox", ["cpio", "-i", "-d", "-F", file])
        {
            WorkingDirectory = Directory.CreateDirectory(Path.Combine(_folder.FullName, "out")).FullName, RedirectStandardError = true,
        })!;
        string said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        string Out(string name) => Path.Combine(_folder.FullName, "out", name);
        Assert.True(File.Exists(Out("init")), said);
        Assert.Equal("agent", File.ReadAllText(Out("init")));
        Assert.Equal((UnixFileMode)0x1ed, File.GetUnixFileMode(Out("init")));
        Assert.StartsWith("\u007fELF", File.ReadAllText(Out("modules/ext4.ko")), StringComparison.Ordinal);
        AgentOrder order = AgentOrder.Deserialize(File.ReadAllBytes(Out("order")));
        Assert.Equal(["ext4.ko"], order.Modules);
        Assert.True(Directory.Exists(Out("proc")));
    }

    [Fact]
    public void AKernelSaysItsVersion()
    {
        byte[] kernel = new byte[4096];
        "HdrS"u8.CopyTo(kernel.AsSpan(0x202));
        kernel[0x20f] = 0x04;
        Encoding.ASCII.GetBytes("6.1.0-56-amd64 (somebody) #1").CopyTo(kernel, 0x600);
        Assert.Equal("6.1.0-56-amd64", Version(kernel));
        Encoding.ASCII.GetBytes("../../etc ").CopyTo(kernel, 0x600);
        Assert.Null(Version(kernel));
        Assert.Null(Version([1, 2, 3]));
    }

    string? Version(byte[] kernel)
    {
        string file = Path.Combine(_folder.FullName, "kernel");
        File.WriteAllBytes(file, kernel);
        using FileDescriptor opened = FileDescriptor.Open(file, Libc.O_RDONLY);
        return KernelVersion.Of(opened);
    }
}
