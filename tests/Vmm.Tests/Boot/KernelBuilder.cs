using System.Buffers.Binary;
using Sandbox.Vmm.Boot;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Boot;

/// <summary>Kernel files of a few bytes that a loader takes, to be spoilt in one place.</summary>
public sealed class KernelBuilder : IBootFile
{
    public byte[] Bytes { get; set; } = [];

    /// <summary>When not null, what the file claims to hold.</summary>
    public ulong? ClaimedLength { get; set; }

    public ulong Length => ClaimedLength ?? (ulong)Bytes.Length;

    public bool TryRead(ulong offset, Span<byte> destination)
    {
        if (offset > (ulong)Bytes.Length || (ulong)destination.Length > (ulong)Bytes.Length - offset)
            return false;
        Bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
        return true;
    }

    public void Put16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan(offset), value);

    public void Put32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Bytes.AsSpan(offset), value);

    public void Put64(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Bytes.AsSpan(offset), value);

    public const int NoteSegment = 64, TextSegment = 64 + 56, DataSegment = 64 + (2 * 56);

    // Offsets in Elf64_Phdr.
    public const int Type = 0, Offset = 8, Physical = 24, FileSize = 32, MemorySize = 40;

    public const int Notes = 0x200, Text = 0x300, Data = 0x400;

    /// <summary>
    /// An ELF file with a PVH note (an unrelated one before it), text at 1 MiB that begins with <paramref name="code"/>
    /// and is entered at its first byte, and data at 2 MiB with 0x1000 bytes of bss.
    /// </summary>
    public static KernelBuilder Elf(params byte[] code)
    {
        KernelBuilder kernel = new() { Bytes = new byte[0x500] };
        ElfKernel.Magic.CopyTo(kernel.Bytes);
        kernel.Bytes[EI_CLASS] = ELFCLASS64;
        kernel.Bytes[EI_DATA] = ELFDATA2LSB;
        kernel.Bytes[6] = 1;
        kernel.Put16(16, ET_EXEC);
        kernel.Put16(18, EM_X86_64);
        kernel.Put64(32, 64);
        kernel.Put16(54, 56);
        kernel.Put16(56, 3);
        kernel.Segment(NoteSegment, PT_NOTE, Notes, 0, 0x34, 0x34);
        kernel.Segment(TextSegment, PT_LOAD, Text, 0x10_0000, 0x100, 0x100);
        kernel.Segment(DataSegment, PT_LOAD, Data, 0x20_0000, 0x80, 0x1080);
        kernel.Note(Notes, "GNU\0", 3, [1, 2, 3, 4, 5, 6, 7, 8]);
        kernel.Note(Notes + 24, "Xen\0", 18, BitConverter.GetBytes(0x10_0000u));
        code.CopyTo(kernel.Bytes, Text);
        kernel.Bytes.AsSpan(Data, 0x80).Fill(0xdd);
        return kernel;
    }

    public void Segment(int at, uint type, ulong offset, ulong physical, ulong fileSize, ulong memorySize)
    {
        Put32(at + Type, type);
        Put64(at + Offset, offset);
        Put64(at + Physical, physical);
        Put64(at + FileSize, fileSize);
        Put64(at + MemorySize, memorySize);
    }

    public void Note(int at, string owner, uint type, byte[] value)
    {
        Put32(at, (uint)owner.Length);
        Put32(at + 4, (uint)value.Length);
        Put32(at + 8, type);
        System.Text.Encoding.ASCII.GetBytes(owner).CopyTo(Bytes, at + 12);
        value.CopyTo(Bytes, at + 12 + owner.Length);
    }

    public const int BootFlag = 0x1fe, Jump = 0x201, Version = 0x206, Relocatable = 0x234, LoadFlags2 = 0x236;
    public const int CommandLineSize = 0x238, PreferredAddress = 0x258, InitSize = 0x260, SystemSize = 0x1f4, InitrdLimit = 0x22c;

    /// <summary>A bzImage of protocol 2.15 with one setup sector and 4 KiB of kernel, which wants 64 KiB at 2 MiB.</summary>
    public static KernelBuilder BzImage()
    {
        KernelBuilder kernel = new() { Bytes = new byte[1024 + 4096] };
        kernel.Bytes[0x1f1] = 1;
        kernel.Put32(SystemSize, 4096 / 16);
        kernel.Put16(BootFlag, 0xaa55);
        kernel.Bytes[0x200] = 0xeb;
        kernel.Bytes[Jump] = 0x6a;
        "HdrS"u8.CopyTo(kernel.Bytes.AsSpan(0x202));
        kernel.Put16(Version, 0x20f);
        kernel.Put32(InitrdLimit, 0x7fff_ffff);
        kernel.Put32(0x230, 0x20_0000);
        kernel.Bytes[Relocatable] = 1;
        kernel.Put16(LoadFlags2, 1);
        kernel.Put32(CommandLineSize, 255);
        kernel.Put64(PreferredAddress, 0x20_0000);
        kernel.Put32(InitSize, 0x1_0000);
        kernel.Bytes.AsSpan(1024).Fill(0xcc);
        return kernel;
    }
}
