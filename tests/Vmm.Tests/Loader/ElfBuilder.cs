using System.Buffers.Binary;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Loader;

/// <summary>Builds ELF files, right or wrong in one place, for tests.</summary>
sealed class ElfBuilder
{
    public const int HeaderSize = 64;
    public const int EntrySize = 56;

    public sealed class ProgramHeader
    {
        public uint Type = PT_LOAD;
        public uint Flags = PF_R | PF_X;
        public ulong Offset;
        public ulong Address;
        public ulong FileSize;
        public ulong MemorySize;
        public ulong Align = 4096;
    }

    public byte[] Ident = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    public ushort Type = ET_EXEC;
    public ushort Machine = EM_X86_64;
    public ulong Entry = 0x40_0100;
    public ulong TableOffset = HeaderSize;
    public ushort TableEntrySize = EntrySize;
    public ushort? TableCount;
    public int Length = 0x3000;
    public readonly List<ProgramHeader> Headers = [];
    public readonly List<(ulong Offset, byte[] Bytes)> Content = [];

    /// <summary>Text at 0x400000 and data with bss at 0x402000, as a linker would write it.</summary>
    public static ElfBuilder Fixed()
    {
        ElfBuilder elf = new();
        elf.Headers.Add(new() { Offset = 0, Address = 0x40_0000, FileSize = 0x1200, MemorySize = 0x1200 });
        elf.Headers.Add(new()
        {
            Flags = PF_R | PF_W, Offset = 0x2100, Address = 0x40_2100, FileSize = 0x300, MemorySize = 0x2000,
        });
        return elf;
    }

    public static ElfBuilder PositionIndependent(string? interpreter = null)
    {
        ElfBuilder elf = Fixed();
        elf.Type = ET_DYN;
        elf.Entry = 0x100;
        foreach (ProgramHeader header in elf.Headers)
            header.Address -= 0x40_0000;
        if (interpreter is not null)
        {
            byte[] path = [.. System.Text.Encoding.UTF8.GetBytes(interpreter), 0];
            elf.Headers.Insert(0, new() { Type = PT_INTERP, Flags = PF_R, Offset = 0x800, FileSize = (ulong)path.Length });
            elf.Content.Add((0x800, path));
        }
        return elf;
    }

    public ElfBuilder With(Action<ElfBuilder> change)
    {
        change(this);
        return this;
    }

    public byte[] Build()
    {
        byte[] file = new byte[Length];
        byte[] start = new byte[HeaderSize];
        Ident.CopyTo(start, 0);
        BinaryPrimitives.WriteUInt16LittleEndian(start.AsSpan(16), Type);
        BinaryPrimitives.WriteUInt16LittleEndian(start.AsSpan(18), Machine);
        BinaryPrimitives.WriteUInt32LittleEndian(start.AsSpan(20), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(start.AsSpan(24), Entry);
        BinaryPrimitives.WriteUInt64LittleEndian(start.AsSpan(32), TableOffset);
        BinaryPrimitives.WriteUInt16LittleEndian(start.AsSpan(52), HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(start.AsSpan(54), TableEntrySize);
        BinaryPrimitives.WriteUInt16LittleEndian(start.AsSpan(56), TableCount ?? (ushort)Headers.Count);
        start.AsSpan(0, Math.Min(start.Length, file.Length)).CopyTo(file);
        for (int i = 0; i < Headers.Count; i++)
        {
            ulong at = TableOffset + (ulong)(i * EntrySize);
            if (TableOffset > (ulong)file.Length || at > (ulong)file.Length || (ulong)file.Length - at < EntrySize)
                continue;
            Span<byte> entry = file.AsSpan((int)at);
            ProgramHeader header = Headers[i];
            BinaryPrimitives.WriteUInt32LittleEndian(entry, header.Type);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], header.Flags);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], header.Offset);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], header.Address);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[32..], header.FileSize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[40..], header.MemorySize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[48..], header.Align);
        }
        foreach ((ulong offset, byte[] bytes) in Content)
            bytes.CopyTo(file, (int)offset);
        return file;
    }
}
