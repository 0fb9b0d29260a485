using System.Buffers.Binary;
using System.Text;

namespace Sandbox.Fuzz.Targets;

/// <summary>Small ELF programs that are right.</summary>
static class ElfSeeds
{
    private const int Length = 0x2400;

    public static byte[] Fixed() => Build(2, 0x40_0000, null);

    public static byte[] PositionIndependent(string? interpreter) => Build(3, 0, interpreter);

    private static byte[] Build(ushort type, ulong start, string? interpreter)
    {
        byte[] file = new byte[Length];
        ReadOnlySpan<byte> ident = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1];
        ident.CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(16), type);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(18), 62);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(20), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(24), start + 0x100);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(32), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(52), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(54), 56);
        int count = 0;
        void header(uint kind, uint flags, ulong offset, ulong address, ulong fileSize, ulong memorySize)
        {
            Span<byte> at = file.AsSpan(64 + 56 * count++);
            BinaryPrimitives.WriteUInt32LittleEndian(at, kind);
            BinaryPrimitives.WriteUInt32LittleEndian(at[4..], flags);
            BinaryPrimitives.WriteUInt64LittleEndian(at[8..], offset);
            BinaryPrimitives.WriteUInt64LittleEndian(at[16..], address);
            BinaryPrimitives.WriteUInt64LittleEndian(at[32..], fileSize);
            BinaryPrimitives.WriteUInt64LittleEndian(at[40..], memorySize);
            BinaryPrimitives.WriteUInt64LittleEndian(at[48..], 4096);
        }
        if (interpreter is not null)
        {
            byte[] path = Encoding.UTF8.GetBytes(interpreter + '\0');
            path.CopyTo(file, 0x300);
            header(3, 4, 0x300, start + 0x300, (ulong)path.Length, (ulong)path.Length);
        }
        header(1, 5, 0, start, 0x1200, 0x1200);
        header(1, 6, 0x2100, start + 0x3100, 0x300, 0x1800);
        header(0x6474e551, 6, 0, 0, 0, 0);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(56), (ushort)count);
        return file;
    }
}
