using System.Buffers.Binary;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>The file header of an x86-64 ELF program, checked (elf(5), System V gABI chapter 4).</summary>
public readonly struct ElfHeader
{
    /// <summary>Bytes of Elf64_Ehdr.</summary>
    public const int Size = 64;

    /// <summary>Bytes of Elf64_Phdr.</summary>
    public const int ProgramHeaderSize = 56;

    /// <summary>Linkers write about a dozen; Linux takes 1170.</summary>
    public const int MaximumProgramHeaders = 128;

    /// <summary>Linked at a fixed base (ET_EXEC) rather than position-independent (ET_DYN).</summary>
    public bool IsFixed { get; private init; }

    public ulong Entry { get; private init; }

    public ulong TableOffset { get; private init; }

    public int TableCount { get; private init; }

    public int TableBytes => TableCount * ProgramHeaderSize;

    /// <param name="start">The file's first bytes; <see cref="Size"/> of them when the file has them.</param>
    /// <param name="fileLength">The whole file's length in bytes.</param>
    public static ElfError Parse(ReadOnlySpan<byte> start, ulong fileLength, out ElfHeader header)
    {
        header = default;
        if (start.Length < 4 || start[0] != ELFMAG0 || start[1] != ELFMAG1 || start[2] != ELFMAG2 || start[3] != ELFMAG3)
            return ElfError.NotElf;
        if (start.Length < Size || fileLength < Size)
            return ElfError.HeaderTruncated;
        if (start[EI_CLASS] != ELFCLASS64)
            return ElfError.NotClass64;
        if (start[EI_DATA] != ELFDATA2LSB)
            return ElfError.NotLittleEndian;
        if (start[EI_VERSION] != EV_CURRENT)
            return ElfError.BadVersion;

        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(start[16..]);
        ushort machine = BinaryPrimitives.ReadUInt16LittleEndian(start[18..]);
        if (machine != EM_X86_64)
            return ElfError.WrongMachine;
        if (type is not (ET_EXEC or ET_DYN))
            return ElfError.NotExecutableType;

        ulong tableOffset = BinaryPrimitives.ReadUInt64LittleEndian(start[32..]);
        ushort entrySize = BinaryPrimitives.ReadUInt16LittleEndian(start[54..]);
        ushort count = BinaryPrimitives.ReadUInt16LittleEndian(start[56..]);
        if (count == 0)
            return ElfError.NoProgramHeaders;
        if (entrySize != ProgramHeaderSize)
            return ElfError.BadProgramHeaderSize;
        if (count > MaximumProgramHeaders)
            return ElfError.TooManyProgramHeaders;
        ulong bytes = (ulong)count * ProgramHeaderSize;
        if (tableOffset > fileLength || fileLength - tableOffset < bytes)
            return ElfError.TableOutsideFile;

        header = new ElfHeader
        {
            IsFixed = type == ET_EXEC,
            Entry = BinaryPrimitives.ReadUInt64LittleEndian(start[24..]),
            TableOffset = tableOffset,
            TableCount = count,
        };
        return ElfError.None;
    }
}
