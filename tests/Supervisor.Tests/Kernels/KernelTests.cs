using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Supervisor.Images;
using Sandbox.Supervisor.Kernels;
using Sandbox.Supervisor.Machine;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Kernels;

/// <summary>What files are taken for kernels, and the kernels that are kept.</summary>
public sealed class KernelTests : IDisposable
{
    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("kernels-");

    public void Dispose() => _folder.Delete(recursive: true);

    KernelStore Store => new(Path.Combine(_folder.FullName, "kept"));

    /// <summary>The header of a bzImage, and as much behind it as it promises.</summary>
    internal static byte[] BzImage(string version = "6.1.0-56-amd64", ushort protocol = 0x20f, ushort loadFlags = 0x7f)
    {
        byte[] file = new byte[4096];
        file[0x1f1] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x1f4), (4096 - 1024) / 16);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x1fe), 0xaa55);
        "HdrS"u8.CopyTo(file.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x206), protocol);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x20e), 0x100);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x236), loadFlags);
        Encoding.ASCII.GetBytes($"{version} (builder) #1 SMP").CopyTo(file, 0x300);
        return file;
    }

    /// <summary>An ELF file with a segment, a note and the line that a kernel prints first.</summary>
    static byte[] Elf(uint note = 18, byte elfClass = 2, string owner = "Xen\0", uint noteSize = 20)
    {
        byte[] file = new byte[1024];
        "\u007fELF"u8.CopyTo(file);
        file[4] = elfClass;
        file[5] = 1;
        Span<byte> at = file;
        BinaryPrimitives.WriteUInt16LittleEndian(at[18..], 62);
        BinaryPrimitives.WriteUInt64LittleEndian(at[32..], 64);
        BinaryPrimitives.WriteUInt16LittleEndian(at[54..], 56);
        BinaryPrimitives.WriteUInt16LittleEndian(at[56..], 2);
        foreach ((int start, uint type, ulong offset, ulong size) in new[] { (64, 1u, 512ul, 512ul), (120, 4u, 256ul, (ulong)noteSize) })
        {
            BinaryPrimitives.WriteUInt32LittleEndian(at[start..], type);
            BinaryPrimitives.WriteUInt64LittleEndian(at[(start + 8)..], offset);
            BinaryPrimitives.WriteUInt64LittleEndian(at[(start + 32)..], size);
            BinaryPrimitives.WriteUInt64LittleEndian(at[(start + 40)..], size);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(at[256..], 4);
        BinaryPrimitives.WriteUInt32LittleEndian(at[260..], 4);
        BinaryPrimitives.WriteUInt32LittleEndian(at[264..], note);
        Encoding.ASCII.GetBytes(owner).CopyTo(file, 268);
        "Linux version %s, Linux version 6.12.3-own (me@here)"u8.CopyTo(at[600..]);
        return file;
    }

    string Write(string path, byte[] content)
    {
        string file = Path.Combine(_folder.FullName, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllBytes(file, content);
        return file;
    }

    KernelFile Examine(byte[] content)
    {
        using FileDescriptor file = FileDescriptor.Open(Write("kernel", content), O_RDONLY);
        return KernelFile.Examine(file);
    }

    /// <summary>As an unpacked package: all modules but the last two, one of which is built in.</summary>
    string Package(string version, bool complete = true)
    {
        Write($"package/boot/vmlinuz-{version}", BzImage(version));
        foreach (string name in AgentInitramfs.ModuleNames.SkipLast(2))
            Write($"package/lib/modules/{version}/kernel/fs/{name}.ko", Encoding.ASCII.GetBytes($"\u007fELF\0depends={(name == "ext4" ? "jbd2" : "")}\0"));
        Write($"package/lib/modules/{version}/kernel/fs/jbd2.ko", [0x7f]);
        Write($"package/lib/modules/{version}/kernel/sound/snd.ko", [0x7f]);
        IEnumerable<string> builtIn = AgentInitramfs.ModuleNames.TakeLast(complete ? 2 : 1);
        Write($"package/lib/modules/{version}/modules.builtin", Encoding.ASCII.GetBytes(string.Concat(builtIn.Select(name => $"kernel/fs/{name}.ko\n"))));
        return Path.Combine(_folder.FullName, "package");
    }

    [Fact]
    public void GoodKernelsAreKnown()
    {
        Assert.Equal(new KernelFile(KernelFormat.BzImage, "6.1.0-56-amd64", null), Examine(BzImage()));
        Assert.Equal(new KernelFile(KernelFormat.Elf, "6.12.3-own", null), Examine(Elf()));
    }

    /// <summary>The VMM loads nothing of it, and starts.</summary>
    [Fact]
    public void ASegmentOfNoMemoryMayBeAnywhereInTheFile()
    {
        byte[] file = Elf();
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(56), 3);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(176), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(176 + 8), ulong.MaxValue);
        Assert.Null(Examine(file).Problem);
    }

    [Fact]
    public void AVersionThatEndsBetweenTwoPiecesIsFound()
    {
        byte[] file = new byte[200_000];
        Elf().CopyTo(file, 0);
        file.AsSpan(600, 100).Clear();
        Encoding.ASCII.GetBytes("Linux version 6.12.3-own (me@here)").CopyTo(file, (64 << 10) - 10);
        Assert.Equal("6.12.3-own", Examine(file).Version);
    }

    public static TheoryData<byte[], string> Bad => new()
    {
        { [], "the file is empty" },
        { [0x7f], "neither a bzImage nor an ELF kernel" },
        { "#!/bin/sh\nexit\n"u8.ToArray(), "neither a bzImage nor an ELF kernel" },
        { new byte[100_000], "neither a bzImage nor an ELF kernel" },
        { BzImage()[..0x206], "cut off" },
        { BzImage()[..0x28f], "cut off" },
        { BzImage()[..4095], "cut off" },
        { BzImage(loadFlags: 0), "no 64-bit entry" },
        { BzImage(protocol: 0x20b), "no 64-bit entry" },
        { Elf()[..4], "cut off" },
        { Elf()[..63], "cut off" },
        { Elf()[..100], "cut off" },
        { Elf()[..1023], "cut off" },
        { Elf(elfClass: 1), "not for x86-64" },
        { Elf(note: 17), "no PVH entry" },
        { Elf(owner: "GNU\0"), "no PVH entry" },
        { Elf(noteSize: 19), "no PVH entry" },
        { Elf(noteSize: uint.MaxValue), "contradict each other" },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void BadKernelsAreToldFromGoodOnes(byte[] content, string problem) =>
        Assert.Contains(problem, Examine(content).Problem, StringComparison.Ordinal);

    [Theory]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("6/../..")]
    [InlineData("6\u001b[2J")]
    [InlineData("x")]
    public void AVersionThatIsNoNameIsNone(string version) => Assert.Null(Examine(BzImage(version)).Version);

    [Fact]
    public void WhatIsNoFileIsRefusedInOneLine()
    {
        OneLine.Refuses("No such file", () => KernelStore.OpenKernel("kernel check", "/nonexistent"));
        OneLine.Refuses("is not a file", () => KernelStore.OpenKernel("kernel check", "/etc"));
        OneLine.Refuses("is not a file", () => KernelStore.OpenKernel("kernel check", "/dev/null"));
        string link = Path.Combine(_folder.FullName, "link");
        File.CreateSymbolicLink(link, link);
        OneLine.Refuses("cannot be read", () => KernelStore.OpenKernel("kernel check", link));
    }

    [Fact]
    public void WhatTheCallerMayNotReadIsRefusedInOneLine()
    {
        Assert.SkipWhen(geteuid() == 0, "root may read everything");
        string secret = Write("secret", BzImage());
        File.SetUnixFileMode(secret, UnixFileMode.None);
        OneLine.Refuses("cannot be read", () => KernelStore.OpenKernel("kernel check", secret));
    }

    [Fact]
    public void AReportSaysWhereEachModuleIs()
    {
        KernelReport Report(bool complete)
        {
            string path = KernelStore.KernelIn(Package("6.1.0-test", complete))!;
            using FileDescriptor file = FileDescriptor.Open(path, O_RDONLY);
            return KernelReport.Of(path, null, file);
        }

        KernelReport good = Report(true), poor = Report(false);
        Assert.True(good is { IsGood: true, IsWrong: false });
        Assert.True(poor is { IsGood: false, IsWrong: false });
        Assert.Contains("virtio_mmio       module", good.Human(), StringComparison.Ordinal);
        Assert.Contains($"{AgentInitramfs.ModuleNames[^1],-18}built in", good.Human(), StringComparison.Ordinal);
        Assert.Contains($"{AgentInitramfs.ModuleNames[^2],-18}missing", poor.Human(), StringComparison.Ordinal);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
            poor.Write(json);
        JsonElement told = JsonDocument.Parse(buffer.ToArray()).RootElement;
        Assert.Equal(("bzImage", "6.1.0-test", true, false), (told.GetProperty("format").GetString(), told.GetProperty("version").GetString(),
            told.GetProperty("boots").GetBoolean(), told.GetProperty("good").GetBoolean()));
        Assert.Equal("missing", told.GetProperty("modules").GetProperty(AgentInitramfs.ModuleNames[^2]).GetString());
    }

    [Fact]
    public void AKernelThatIsKeptHasItsModulesAndGoes()
    {
        Assert.Empty(Store.Names);
        Assert.Equal("6.1.0-test", Store.Add(Package("6.1.0-test"), null));
        Assert.Equal("mine", Store.Add(KernelStore.KernelIn(Package("6.1.0-test"))!, "mine"));
        Assert.Equal(["6.1.0-test", "mine"], Store.Names);
        string path = Store.FileOf("mine")!;
        Assert.Equal(BzImage("6.1.0-test"), File.ReadAllBytes(path));
        Directory.Delete(Path.Combine(_folder.FullName, "package"), recursive: true);
        string modules = ModulesFolder.Of("6.1.0-test", path);
        Assert.StartsWith(_folder.FullName, modules, StringComparison.Ordinal);
        string[] kept = [.. Directory.GetFiles(modules).Select(Path.GetFileName).Order(StringComparer.Ordinal)!];
        Assert.Equal(
            [.. AgentInitramfs.ModuleNames.SkipLast(2).Append("jbd2").Select(name => $"{name}.ko").Append("modules.builtin").Order(StringComparer.Ordinal)],
            kept);
        using (FileDescriptor file = FileDescriptor.Open(path, O_RDONLY))
            Assert.True(KernelReport.Of(path, "mine", file).IsGood);
        OneLine.Refuses("there is a kernel 'mine' already", () => Store.Add(path, "mine"));
        Store.Remove("mine");
        Assert.Null(Store.FileOf("mine"));
        Assert.Equal(["6.1.0-test"], Directory.GetDirectories(Path.Combine(_folder.FullName, "kept")).Select(Path.GetFileName));
        // What is no folder is no kernel, and keeps no list back.
        File.WriteAllText(Path.Combine(_folder.FullName, "kept/README"), "");
        Assert.Equal(["6.1.0-test"], Store.Names);
        Assert.Null(Store.FileOf("README"));
    }

    [Fact]
    public void WhatAKilledOneHasLeftIsRemovedUnlessSomebodyIsAtIt()
    {
        Store.RemoveUnfinished();
        string kept = Path.Combine(_folder.FullName, "kept"), half = Path.Combine(kept, "mine.new");
        Assert.False(Directory.Exists(kept));
        using (FileDescriptor place = CachePlace.Make(kept))
        using (CachePlace.Lock(place, kept))
        {
            Directory.CreateDirectory(Path.Combine(half, "boot"));
            Store.RemoveUnfinished();
            Assert.True(Directory.Exists(half));
        }

        Store.RemoveUnfinished();
        Assert.False(Directory.Exists(half));
        Directory.CreateDirectory(Path.Combine(half, "boot"));
        Store.Add(Package("6.1.0-test"), "mine");
        Assert.Equal(["mine"], Directory.GetDirectories(kept).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("")]
    [InlineData("-x")]
    [InlineData("x.new")]
    [InlineData("a\nb")]
    public void WhatIsNoNameNamesNothing(string name)
    {
        string package = Package("6.1.0-test");
        OneLine.Refuses("cannot be a name", () => Store.Add(package, name));
        OneLine.Refuses("there is no kernel", () =>
        {
            Store.Remove(name);
            return null;
        });
        Assert.Null(Store.FileOf(name));
    }

    [Fact]
    public void WhatCannotBeKeptLeavesNothing()
    {
        OneLine.Refuses("neither a bzImage", () => Store.Add(Write("text", "text"u8.ToArray()), "text"));
        OneLine.Refuses("does not hold exactly one", () => Store.Add(_folder.FullName, "empty"));
        OneLine.Refuses("--modules: there is no folder", () => Store.Add(Write("alone", BzImage("6.1.0-nowhere")), "alone"));
        Assert.Empty(Store.Names);
        string kept = Path.Combine(_folder.FullName, "kept");
        Assert.True(!Directory.Exists(kept) || Directory.GetDirectories(kept).Length == 0);
    }

    /// <summary>Each would be read for ever, or is somebody else's.</summary>
    [Theory]
    [InlineData("pipe", "it is no file")]
    [InlineData("/dev/urandom", "symbolic links")]
    [InlineData("/etc/passwd", "symbolic links")]
    [InlineData("long", "more than 4 MiB")]
    public void AListThatIsNoListIsRefusedInOneLine(string what, string problem)
    {
        string package = Package("6.1.0-test"), list = Path.Combine(package, "lib/modules/6.1.0-test/modules.builtin");
        File.Delete(list);
        if (what == "pipe")
            Assert.Equal(0, MakePipe(list));
        else if (what == "long")
            File.WriteAllBytes(list, new byte[(4 << 20) + 1]);
        else
            File.CreateSymbolicLink(list, what);
        OneLine.Refuses(problem, () => Store.Add(package, null));
        OneLine.Refuses(problem, () => new KernelModules(Path.GetDirectoryName(list)!));
        Assert.Empty(Store.Names);
    }

    static int MakePipe(string path)
    {
        using var process = System.Diagnostics.Process.Start("mkfifo", [path]);
        process.WaitForExit();
        return process.ExitCode;
    }

    [Fact]
    public void AFolderOfModulesThatIsALinkIsRefusedUnlessNamed()
    {
        string package = Package("6.1.0-test"), modules = Path.Combine(package, "lib/modules/6.1.0-test");
        Directory.Move(modules, Path.Combine(_folder.FullName, "moved"));
        File.CreateSymbolicLink(modules, "/");
        OneLine.Refuses("is a link", () => Store.Add(package, null));
        File.Delete(modules);
        File.CreateSymbolicLink(modules, Path.Combine(_folder.FullName, "moved"));
        OneLine.Refuses("is a link", () => ModulesFolder.Of("6.1.0-test", KernelStore.KernelIn(package)!));
        Assert.Equal(ModuleState.Module, new KernelModules(modules).StateOf("jbd2"));
    }

    [Fact]
    public void AFolderThatHoldsTooMuchIsRefusedWhateverItsFilesAreCalled()
    {
        string folder = Path.Combine(_folder.FullName, "many"), first = Path.Combine(folder, "0");
        Directory.CreateDirectory(folder);
        File.WriteAllText(first, "");
        for (int index = 1; index <= 100_000; index++)
            File.CreateSymbolicLink(Path.Combine(folder, $"{index}"), "0");
        OneLine.Refuses("more than 100000 files", () => new KernelModules(folder));
    }

    [Fact]
    public void ModulesThatAreTooLargeTogetherAreRefusedInOneLine()
    {
        foreach (string name in new[] { "a", "b" })
            Write($"large/{name}.ko", new byte[9 << 20]);
        var modules = new KernelModules(Path.Combine(_folder.FullName, "large"));
        Assert.True(modules.TryAdd("a"));
        OneLine.Refuses("strip --strip-debug", () => modules.TryAdd("b"));
    }

    [Fact]
    public void AFileComesBeforeAKernelOfThatName()
    {
        Assert.Equal("/boot/vmlinuz", KernelStore.PathOf("/boot/vmlinuz"));
        Assert.Equal("no-such-kernel-here", KernelStore.PathOf("no-such-kernel-here"));
    }
}
