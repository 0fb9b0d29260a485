using Sandbox.Vmm.Memory;

namespace Sandbox.Fuzz.Targets;

/// <summary>What the model knows of something that is mapped: its pages' content and where it ends.</summary>
sealed class ModelObject(int pages, ulong inode)
{
    /// <summary>Content is told apart in quarters of a page, each filled with one byte.</summary>
    public const int CellsPerPage = 4;

    public const int CellSize = Page.Size / CellsPerPage;

    public const int CellBits = 8;

    /// <summary>Cell 0 of a page in the lowest byte.</summary>
    public uint[] Content { get; } = new uint[pages];

    public ulong Inode { get; } = inode;

    /// <summary>In cells.</summary>
    public int Length { get; set; } = pages * CellsPerPage;

    public int PageCount => (Length + CellsPerPage - 1) / CellsPerPage;

    /// <summary>A file of the host, in the file window.</summary>
    public bool IsHostFile { get; init; }

    public bool MayWrite { get; init; } = true;

    public byte this[int cell]
    {
        get => (byte)(Content[cell / CellsPerPage] >> (cell % CellsPerPage * CellBits));
        set => Content[cell / CellsPerPage] = WithCell(Content[cell / CellsPerPage], cell % CellsPerPage, value);
    }

    public static uint WithCell(uint page, int cell, byte value)
    {
        int shift = cell * CellBits;
        return (page & ~(0xffu << shift)) | (uint)value << shift;
    }

    public static uint Filled(byte value) => value * 0x0101_0101u;
}
