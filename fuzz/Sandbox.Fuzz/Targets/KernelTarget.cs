using System.Buffers.Binary;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.Kernels;
using Sandbox.Vmm.Boot;
using Sandbox.Vmm.Machine;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The loaders of machine guests' kernels, and the supervisor's look at them: it refuses none that starts. What is accepted is entered where the kernel's own bytes are, keeps clear of
/// what it is told, and of the initrd; what is not leaves no kernel behind.
/// </summary>
/// <remarks>Input: whether there is an initrd (1), how much more the file claims to hold than it does (1); then the kernel.</remarks>
sealed class KernelTarget : FuzzTarget, IDisposable
{
    private const int HeaderLength = 2;

    private readonly MachineRam _ram = new(MachineLayout.MinimumRam, null);
    private readonly FileDescriptor _file = FileDescriptor.CreateMemory("kernel", 0);

    private sealed class MemoryFile(byte[] bytes, ulong length) : IBootFile
    {
        public ulong Length => length;

        public bool TryRead(ulong offset, Span<byte> destination)
        {
            if (offset > (ulong)bytes.Length || (ulong)destination.Length > (ulong)bytes.Length - offset)
                return false;
            bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
            return true;
        }
    }

    public override string Name => "kernel";

    public override string Summary => "kernels of machine guests: bzImage and ELF with PVH";

    public override int MaximumLength => 16 * 1024;

    public override long AllocationLimit => 1 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [0x7f, 0x45, 0x4c, 0x46, 2, 1], "HdrS"u8.ToArray(), "Xen\0"u8.ToArray(), [0x55, 0xaa], [18, 0, 0, 0], [4, 0, 0, 0],
        [1, 0, 0, 0], [2, 0, 62, 0], [0, 0, 0x10, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff],
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        bool hasInitrd = (reader.Byte() & 1) != 0;
        int more = reader.Byte();
        byte[] bytes = input[Math.Min(HeaderLength, input.Length)..].ToArray();
        IBootFile? initrd = hasInitrd ? new MemoryFile([1, 2, 3], 3) : null;
        BootOrder order = new(new MemoryFile(bytes, (ulong)(bytes.Length + more)), initrd, "console=ttyS0", 1, 0);
        KernelFile seen = Look(bytes, more);
        BootProblem problem = BootLoader.Load(order, _ram.Memory, (_ram.LowBytes, _ram.HighBytes), out LoadedKernel? kernel);
        if (problem != BootProblem.None)
            return false;
        OracleException.Check(seen.Problem is null, "the supervisor refuses a kernel that starts");
        OracleException.Check(kernel!.Entry >= MachineLayout.KernelStart && kernel.Entry < kernel.End, "an entry outside of the kernel");
        OracleException.Check(kernel.End <= _ram.LowBytes, "a kernel outside of RAM");
        byte[] line = new byte[14];
        OracleException.Check(_ram.Memory.TryRead(MachineLayout.CommandLineAddress, line) && line.AsSpan().SequenceEqual("console=ttyS0\0"u8),
            "another command line");
        if (initrd is not null)
            CheckInitrd(kernel);
        return true;
    }

    /// <summary>As the supervisor looks at the same file.</summary>
    private KernelFile Look(byte[] bytes, int more)
    {
        if (ftruncate(_file.Value, 0) != 0 || _file.WriteAt(bytes, 0) != bytes.Length || ftruncate(_file.Value, bytes.Length + more) != 0)
            throw HostException.Last("ftruncate", "a file in memory");
        KernelFile seen = KernelFile.Examine(_file);
        OracleException.Check(seen.Version is null || (char.IsAsciiDigit(seen.Version[0]) && !seen.Version.Any(letter => letter is '/' or <= ' ' or > '~')),
            "a version that is no name");
        return seen;
    }

    private void CheckInitrd(LoadedKernel kernel)
    {
        byte[] told = new byte[8], found = new byte[3];
        ulong at = kernel.SetupHeader is null ? MachineLayout.StartInfoAddress + 56 : MachineLayout.BootParametersAddress + 0x218;
        OracleException.Check(_ram.Memory.TryRead(at, told), "no place of the initrd");
        ulong address = BinaryPrimitives.ReadUInt32LittleEndian(told);
        OracleException.Check(address >= kernel.End && address + 2 <= kernel.LastInitrdByte, "an initrd in the kernel's way");
        OracleException.Check(_ram.Memory.TryRead(address, found) && found is [1, 2, 3], "another initrd");
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("elf", [1, 0, .. Elf()]);
        yield return ("image", [1, 0, .. Image()]);
        yield return ("image-alone", [0, 0, .. Image()]);
    }

    private static byte[] Elf()
    {
        byte[] file = new byte[0x400];
        void Put(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(offset), value);
        ((ReadOnlySpan<byte>)[0x7f, 0x45, 0x4c, 0x46, ELFCLASS64, ELFDATA2LSB, 1]).CopyTo(file);
        Put(16, ET_EXEC | EM_X86_64 << 16);
        Put(32, 64);
        Put(54, 56 | 2 << 16);
        foreach ((int at, uint type, ulong offset, ulong physical, ulong size) in
            ((int, uint, ulong, ulong, ulong)[])[(64, PT_NOTE, 0x200, 0, 20), (120, PT_LOAD, 0x300, 0x10_0000, 0x100)])
        {
            Put(at, type);
            Put(at + 8, offset);
            Put(at + 24, physical);
            Put(at + 32, size);
            Put(at + 40, size);
        }
        Put(0x200, 4 | 4UL << 32);
        Put(0x208, 18 | (ulong)BinaryPrimitives.ReadUInt32LittleEndian("Xen\0"u8) << 32);
        Put(0x210, 0x10_0000);
        return file;
    }

    private static byte[] Image()
    {
        byte[] file = new byte[1024 + 1024];
        void Put(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(offset), value);
        file[0x1f1] = 1;
        Put(0x1f4, 1024 / 16);
        Put(0x1fe, 0x6aeb_aa55);
        "HdrS"u8.CopyTo(file.AsSpan(0x202));
        Put(0x206, 0x20f);
        Put(0x22c, 0x7fff_ffff | 0x10_0000UL << 32);
        Put(0x234, 0x1_0001 | 255UL << 32);
        Put(0x258, 0x10_0000);
        Put(0x260, 0x1_0000);
        return file;
    }

    public void Dispose()
    {
        _file.Dispose();
        _ram.Dispose();
    }
}
