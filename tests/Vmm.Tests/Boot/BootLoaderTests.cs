using System.Buffers.Binary;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Boot;
using Sandbox.Vmm.Machine;
using Xunit;

namespace Sandbox.Vmm.Tests.Boot;

public sealed class BootLoaderTests : IDisposable
{
    private readonly MachineRam _ram = new(64 << 20, null);

    public void Dispose() => _ram.Dispose();

    private BootProblem Load(KernelBuilder kernel, out LoadedKernel? loaded, KernelBuilder? initrd = null,
        string commandLine = "console=ttyS0", MachineRam? ram = null) =>
        BootLoader.Load(new BootOrder(kernel, initrd, commandLine, 2, 3), (ram ?? _ram).Memory,
            ((ram ?? _ram).LowBytes, (ram ?? _ram).HighBytes), out loaded);

    private byte[] Read(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Assert.True(_ram.Memory.TryRead(address, bytes));
        return bytes;
    }

    private static uint Number(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset));

    private static ulong Long(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(offset));

    [Fact]
    public void An_ELF_kernel_is_where_its_segments_say_and_finds_its_start_info()
    {
        KernelBuilder initrd = new() { Bytes = [.. Encoding.ASCII.GetBytes("initrd")] };
        Assert.Equal(BootProblem.None, Load(KernelBuilder.Elf(0x90, 0xf4), out LoadedKernel? kernel, initrd));
        Assert.Equal((0x10_0000ul, 0x20_1080ul), (kernel!.Entry, kernel.End));
        Assert.Null(kernel.SetupHeader);
        Assert.Equal([0x90, 0xf4, 0], Read(0x10_0000, 3));
        Assert.Equal(0xdd, Read(0x20_007f, 1)[0]);
        Assert.All(Read(0x20_0080, 0x1000), each => Assert.Equal(0, each));
        byte[] info = Read(MachineLayout.StartInfoAddress, 0x200);
        Assert.Equal((0x336e_c578u, 1u, 1u), (Number(info, 0), Number(info, 4), Number(info, 12)));
        Assert.Equal((MachineLayout.CommandLineAddress, MachineLayout.AcpiAddress), (Long(info, 24), Long(info, 32)));
        int module = (int)(Long(info, 16) - MachineLayout.StartInfoAddress);
        Assert.Equal("initrd"u8.ToArray(), Read(Long(info, module), (int)Long(info, module + 8)));
        Assert.Equal("console=ttyS0\0"u8.ToArray(), Read(MachineLayout.CommandLineAddress, 14));
        int map = (int)(Long(info, 40) - MachineLayout.StartInfoAddress);
        Assert.Equal((4u, 0ul, 0x9_fc00ul, 1u), (Number(info, 48), Long(info, map), Long(info, map + 8), Number(info, map + 16)));
    }

    [Fact]
    public void A_bzImage_is_where_it_wants_to_be_and_finds_its_boot_parameters()
    {
        KernelBuilder initrd = new() { Bytes = [.. Encoding.ASCII.GetBytes("initrd")] };
        Assert.Equal(BootProblem.None, Load(KernelBuilder.BzImage(), out LoadedKernel? kernel, initrd));
        Assert.Equal((0x20_0200ul, 0x21_0000ul), (kernel!.Entry, kernel.End));
        Assert.All(Read(0x20_0000, 4096), each => Assert.Equal(0xcc, each));
        byte[] page = Read(MachineLayout.BootParametersAddress, 4096);
        Assert.Equal("HdrS"u8.ToArray(), page[0x202..0x206]);
        Assert.Equal((0xff, 0x20_0000u), (page[0x210], Number(page, 0x214)));
        Assert.Equal("initrd"u8.ToArray(), Read(Number(page, 0x218), (int)Number(page, 0x21c)));
        Assert.Equal((MachineLayout.CommandLineAddress, MachineLayout.AcpiAddress), (Number(page, 0x228), Long(page, 0x70)));
        Assert.Equal((4, 0ul, 0x9_fc00ul, 1u), (page[0x1e8], Long(page, 0x2d0), Long(page, 0x2d8), Number(page, 0x2e0)));
        // RAM up to its end, from 1 MiB on.
        Assert.Equal((0x10_0000ul, (63ul << 20)), (Long(page, 0x2d0 + 40), Long(page, 0x2d8 + 40)));
    }

    [Fact]
    public void Memory_beyond_three_GiB_goes_on_at_four()
    {
        using MachineRam ram = new(5ul << 30, null);
        Assert.Equal(BootProblem.None, Load(KernelBuilder.BzImage(), out _, ram: ram));
        Assert.Equal((3ul << 30, 2ul << 30), (ram.LowBytes, ram.HighBytes));
        (ulong Start, ulong Length, uint Type)[] map = MemoryMap.Of(ram.LowBytes, ram.HighBytes);
        Assert.Equal((4ul << 30, 2ul << 30, MemoryMap.Usable), map[^1]);
        Assert.False(ram.Memory.Contains((3ul << 30) - 1, 2));
        Assert.False(ram.Memory.Contains(MachineLayout.VirtioStart, 1));
        Assert.True(ram.Memory.Contains((6ul << 30) - 1, 1));
        Assert.False(ram.Memory.Contains(6ul << 30, 1));
    }

    [Fact]
    public void A_kernel_whose_place_is_not_there_goes_as_low_as_it_may()
    {
        KernelBuilder kernel = KernelBuilder.BzImage();
        kernel.Put64(KernelBuilder.PreferredAddress, 1ul << 30);
        Assert.Equal(BootProblem.None, Load(kernel, out LoadedKernel? loaded));
        Assert.Equal(0x20_0200ul, loaded!.Entry);
        kernel.Bytes[KernelBuilder.Relocatable] = 0;
        Assert.Equal(BootProblem.KernelTooLarge, Load(kernel, out _));
    }

    public static TheoryData<string, BootProblem, Action<KernelBuilder>> BadElf => new()
    {
        { "32-bit", BootProblem.WrongArchitecture, kernel => kernel.Bytes[4] = 1 },
        { "big-endian", BootProblem.WrongArchitecture, kernel => kernel.Bytes[5] = 2 },
        { "of another processor", BootProblem.WrongArchitecture, kernel => kernel.Put16(18, 183) },
        { "cut in its header", BootProblem.Truncated, kernel => kernel.Bytes = kernel.Bytes[..50] },
        { "cut in its table", BootProblem.Truncated, kernel => kernel.Bytes = kernel.Bytes[..100] },
        { "cut in its text", BootProblem.Truncated, kernel => kernel.Bytes = kernel.Bytes[..0x380] },
        { "claims what it has not", BootProblem.Truncated, kernel => { kernel.Bytes = kernel.Bytes[..0x380]; kernel.ClaimedLength = 0x500; } },
        { "table at the end of the world", BootProblem.Truncated, kernel => kernel.Put64(32, ulong.MaxValue - 8) },
        { "no segments", BootProblem.BadSegments, kernel => kernel.Put16(56, 0) },
        { "too many segments", BootProblem.BadSegments, kernel => kernel.Put16(56, 65535) },
        { "entries of another size", BootProblem.BadSegments, kernel => kernel.Put16(54, 32) },
        { "no PVH note", BootProblem.NoPvhEntry, kernel => kernel.Put32(KernelBuilder.Notes + 24 + 8, 17) },
        { "note of another owner", BootProblem.NoPvhEntry, kernel => kernel.Bytes[KernelBuilder.Notes + 24 + 12] = (byte)'x' },
        { "no note at all", BootProblem.NoPvhEntry, kernel => kernel.Put32(KernelBuilder.NoteSegment, 0) },
        { "note larger than its segment", BootProblem.NoPvhEntry, kernel => kernel.Put32(KernelBuilder.Notes + 24 + 4, uint.MaxValue) },
        { "name that wraps", BootProblem.NoPvhEntry, kernel => kernel.Put32(KernelBuilder.Notes, uint.MaxValue) },
        { "notes without end", BootProblem.BadSegments, kernel => kernel.Put64(KernelBuilder.NoteSegment + KernelBuilder.FileSize, 1ul << 40) },
        { "notes beyond the file", BootProblem.Truncated, kernel => kernel.Put64(KernelBuilder.NoteSegment + KernelBuilder.Offset, 0x10000) },
        { "entry outside", BootProblem.BadSegments, kernel => kernel.Put32(KernelBuilder.Notes + 24 + 16, 0x30_0000) },
        { "segments overlap", BootProblem.BadSegments, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.Physical, 0x10_00ff) },
        { "over what the loader leaves", BootProblem.BadSegments, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.Physical, 0x7000) },
        { "segment wraps", BootProblem.BadSegments, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.Physical, ulong.MaxValue - 0x100) },
        { "size wraps", BootProblem.BadSegments, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.MemorySize, ulong.MaxValue) },
        { "of the file and not of memory", BootProblem.BadSegments, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.MemorySize, 0) },
        { "more of the file than of memory", BootProblem.BadSegments, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.FileSize, 0x1081) },
        { "file part wraps", BootProblem.Truncated, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.Offset, ulong.MaxValue - 4) },
        { "larger than memory", BootProblem.KernelTooLarge, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.MemorySize, 1ul << 30) },
        { "in the hole", BootProblem.KernelTooLarge, kernel => kernel.Put64(KernelBuilder.DataSegment + KernelBuilder.Physical, MachineLayout.VirtioStart) },
    };

    [Theory]
    [MemberData(nameof(BadElf), DisableDiscoveryEnumeration = true)]
    public void A_bad_ELF_kernel_is_refused(string what, BootProblem expected, Action<KernelBuilder> spoil)
    {
        KernelBuilder kernel = KernelBuilder.Elf();
        spoil(kernel);
        BootProblem problem = Load(kernel, out LoadedKernel? loaded);
        Assert.True(problem == expected, $"{what}: {problem}");
        Assert.True(problem == BootProblem.None || loaded is null);
    }

    public static TheoryData<string, BootProblem, Action<KernelBuilder>> BadImage => new()
    {
        { "no boot flag", BootProblem.NotAKernel, kernel => kernel.Put16(KernelBuilder.BootFlag, 0) },
        { "cut in its header", BootProblem.Truncated, kernel => kernel.Bytes = kernel.Bytes[..0x280] },
        { "only a header", BootProblem.Truncated, kernel => kernel.Bytes = kernel.Bytes[..1024] },
        { "cut in its kernel", BootProblem.Truncated, kernel => kernel.Bytes = kernel.Bytes[..4000] },
        { "old", BootProblem.NoLinuxEntry, kernel => kernel.Put16(KernelBuilder.Version, 0x20b) },
        { "32-bit", BootProblem.NoLinuxEntry, kernel => kernel.Put16(KernelBuilder.LoadFlags2, 0) },
        { "short header", BootProblem.BadSegments, kernel => kernel.Bytes[KernelBuilder.Jump] = 0x20 },
        { "long header", BootProblem.BadSegments, kernel => kernel.Bytes[KernelBuilder.Jump] = 0xff },
        { "more than it says it needs", BootProblem.BadSegments, kernel => kernel.Put32(KernelBuilder.InitSize, 4095) },
        { "larger than memory", BootProblem.KernelTooLarge, kernel => kernel.Put32(KernelBuilder.InitSize, uint.MaxValue) },
        { "promises a file of 64 GiB", BootProblem.Truncated, kernel => kernel.Put32(KernelBuilder.SystemSize, uint.MaxValue) },
        { "claims what it has not", BootProblem.Truncated, kernel => kernel.ClaimedLength = 8192 },
    };

    [Theory]
    [MemberData(nameof(BadImage), DisableDiscoveryEnumeration = true)]
    public void A_bad_bzImage_is_refused(string what, BootProblem expected, Action<KernelBuilder> spoil)
    {
        KernelBuilder kernel = KernelBuilder.BzImage();
        spoil(kernel);
        BootProblem problem = Load(kernel, out LoadedKernel? loaded);
        Assert.True(problem == expected, $"{what}: {problem}");
        Assert.Null(loaded);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(5000)]
    public void What_is_no_kernel_is_refused(int length) =>
        Assert.Equal(BootProblem.NotAKernel, Load(new KernelBuilder { Bytes = new byte[length] }, out _));

    [Fact]
    public void An_initrd_is_whole_pages_below_the_end_of_memory_and_never_over_the_kernel()
    {
        KernelBuilder kernel = KernelBuilder.BzImage();
        KernelBuilder initrd = new() { Bytes = new byte[5000] };
        Assert.Equal(BootProblem.None, Load(kernel, out _, initrd));
        byte[] page = Read(MachineLayout.BootParametersAddress, 4096);
        Assert.Equal(((64u << 20) - 8192, 5000u), (Number(page, 0x218), Number(page, 0x21c)));
        kernel.Put32(KernelBuilder.InitrdLimit, 0x2f_ffff);
        Assert.Equal(BootProblem.None, Load(kernel, out _, initrd));
        Assert.Equal(0x2f_e000u, Number(Read(MachineLayout.BootParametersAddress, 4096), 0x218));
        kernel.Put32(KernelBuilder.InitrdLimit, 0x21_0fff);
        Assert.Equal(BootProblem.InitrdTooLarge, Load(kernel, out _, initrd));
        kernel.Put32(KernelBuilder.InitrdLimit, uint.MaxValue);
        initrd.ClaimedLength = ulong.MaxValue;
        Assert.Equal(BootProblem.InitrdTooLarge, Load(kernel, out _, initrd));
        initrd.ClaimedLength = 6000;
        Assert.Equal(BootProblem.Truncated, Load(kernel, out _, initrd));
    }

    [Fact]
    public void A_command_line_is_as_long_as_the_kernel_takes()
    {
        Assert.Equal(BootProblem.None, Load(KernelBuilder.BzImage(), out _, commandLine: new string('x', 255)));
        Assert.Equal(BootProblem.CommandLineTooLong, Load(KernelBuilder.BzImage(), out _, commandLine: new string('x', 256)));
        Assert.Equal(BootProblem.None, Load(KernelBuilder.Elf(), out _, commandLine: new string('x', 2047)));
        Assert.Equal(BootProblem.CommandLineTooLong, Load(KernelBuilder.Elf(), out _, commandLine: new string('x', 2048)));
    }
}
