using System.Buffers.Binary;
using System.Text;

namespace Sandbox.Fuzz.Targets;

/// <summary>Small ELF programs that are right.</summary>
static class ElfSeeds
{
    private const int Length = 0x2400;
    private const int HeaderLength = 64;
    private const int SegmentLength = 56;

    public static byte[] Fixed() => Build(2, 0x40_0000, null);

    public static byte[] PositionIndependent(string? interpreter) => Build(3, 0, interpreter);

    /// <summary>As short as can be, with zeroed memory at an address; at most 255 bytes.</summary>
    public static byte[] WithData(ulong code, ulong data, ulong dataSize)
    {
        byte[] file = new byte[HeaderLength + 2 * SegmentLength];
        WriteHeader(file, 2, code, 2);
        WriteSegment(file, 0, 1, 5, 0, code, (ulong)file.Length, (ulong)file.Length);
        WriteSegment(file, 1, 1, 6, 0, data, 0, dataSize);
        return file;
    }

    private static byte[] Build(ushort type, ulong start, string? interpreter)
    {
        byte[] file = new byte[Length];
        int count = 0;
        if (interpreter is not null)
        {
            byte[] path = Encoding.UTF8.GetBytes(interpreter + '\0');
            path.CopyTo(file, 0x300);
            WriteSegment(file, count++, 3, 4, 0x300, start + 0x300, (ulong)path.Length, (ulong)path.Length);
        }
        WriteSegment(file, count++, 1, 5, 0, start, 0x1200, 0x1200);
        WriteSegment(file, count++, 1, 6, 0x2100, start + 0x3100, 0x300, 0x1800);
        WriteSegment(file, count++, 0x6474e551, 6, 0, 0, 0, 0);
        WriteHeader(file, type, start + 0x100, count);
        return file;
    }

    private static void WriteHeader(Span<byte> file, ushort type, ulong entry, int segments)
    {
        ReadOnlySpan<byte> ident = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1];
        ident.CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file[16..], type);
        BinaryPrimitives.WriteUInt16LittleEndian(file[18..], 62);
        BinaryPrimitives.WriteUInt32LittleEndian(file[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(file[24..], entry);
        BinaryPrimitives.WriteUInt64LittleEndian(file[32..], HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(file[52..], HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(file[54..], SegmentLength);
        BinaryPrimitives.WriteUInt16LittleEndian(file[56..], (ushort)segments);
    }

    private static void WriteSegment(
        Span<byte> file, int index, uint kind, uint flags, ulong offset, ulong address, ulong fileSize,
            ulong memorySize)
    {
        Span<byte> at = file[(HeaderLength + SegmentLength * index)..];
        BinaryPrimitives.WriteUInt32LittleEndian(at, kind);
        BinaryPrimitives.WriteUInt32LittleEndian(at[4..], flags);
        BinaryPrimitives.WriteUInt64LittleEndian(at[8..], offset);
        BinaryPrimitives.WriteUInt64LittleEndian(at[16..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(at[32..], fileSize);
        BinaryPrimitives.WriteUInt64LittleEndian(at[40..], memorySize);
        BinaryPrimitives.WriteUInt64LittleEndian(at[48..], 4096);
    }
}
