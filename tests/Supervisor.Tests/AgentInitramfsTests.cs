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

    static void Shell(string command)
    {
        using Process process = Process.Start("sh", ["-c", command]);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    /// <summary>"hello, module\n" a hundred times, by zstd(1).</summary>
    const string Zstandard = "KLUv/QRYrQAAcGhlbGxvLCBtb2R1bGUKAQBnxT+VQffUZQ==";

    [Fact]
    public void CompressedModulesAreUnpacked()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/xz"), "xz is not installed");
        Module("plain.ko", "");
        string content = string.Concat(Enumerable.Repeat("hello, module\n", 100));
        File.WriteAllText(Path.Combine(_folder.FullName, "packed.ko"), $"{content}\0depends=small,plain\0");
        // As the kernel's build has it.
        Shell($"cd '{_folder.FullName}' && xz --check=crc32 --lzma2=dict=1MiB packed.ko");
        File.WriteAllBytes(Path.Combine(_folder.FullName, "small.ko.zst"), Convert.FromBase64String(Zstandard));
        var modules = new KernelModules(_folder.FullName);
        Assert.True(modules.TryAdd("packed"));
        Assert.Equal(["small.ko", "plain.ko", "packed.ko"], modules.Loading.Select(module => module.Name));
        Assert.Equal(content, Encoding.ASCII.GetString(modules.Loading[0].Content));
        Assert.StartsWith(content, Encoding.ASCII.GetString(modules.Loading[2].Content), StringComparison.Ordinal);
    }

    [Fact]
    public void WhatCannotBeUnpackedIsRefusedInOneLine()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/xz"), "xz is not installed");
        string folder = _folder.FullName;
        Shell($"cd '{folder}' && head -c 30000000 /dev/zero | xz >bomb.ko.xz && head -c 1000 bomb.ko.xz >cut.ko.xz");
        File.WriteAllText(Path.Combine(folder, "text.ko.xz"), "x");
        File.WriteAllText(Path.Combine(folder, "empty.ko.xz"), "");
        File.WriteAllBytes(Path.Combine(folder, "cut2.ko.zst"), Convert.FromBase64String(Zstandard)[..20]);
        File.WriteAllText(Path.Combine(folder, "text2.ko.zst"), "this is not zstd");
        File.WriteAllText(Path.Combine(folder, "other.ko.lz4"), "x");
        var modules = new KernelModules(folder);
        OneLine.Refuses("more than 24 MiB", () => modules.TryAdd("bomb"));
        foreach (string name in new[] { "cut", "text", "empty", "cut2", "text2" })
            OneLine.Refuses("cannot be read", () => modules.TryAdd(name));
        OneLine.Refuses("in a way that is not known here", () => modules.TryAdd("other"));
        OneLine.Refuses("there is no folder", () => new KernelModules("/nonexistent"));
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
