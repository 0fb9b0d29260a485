using System.Buffers.Binary;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The rules for an ELF program said a second time, slowly and in numbers that cannot wrap, to compare the parser
/// with. Shares no code with it.
/// </summary>
static class ElfReference
{
    private static readonly UInt128 UserStart = 0x1_0000;
    private static readonly UInt128 UserEnd = 0x7fff_ffff_f000;
    private static readonly UInt128 PageSize = 4096;

    public static bool Accepts(ReadOnlySpan<byte> file)
    {
        if (file.Length < 64 || !file.StartsWith((ReadOnlySpan<byte>)[0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]))
            return false;
        uint type = Half(file, 16), machine = Half(file, 18);
        if (type is not (2 or 3) || machine != 62)
            return false;
        UInt128 entry = Word(file, 24), table = Word(file, 32);
        uint entrySize = Half(file, 54), count = Half(file, 56);
        if (entrySize != 56 || count is 0 or > 128 || table + count * (UInt128)56 > (UInt128)file.Length)
            return false;

        List<(UInt128 First, UInt128 End)> ranges = [];
        UInt128 low = UInt128.MaxValue, high = 0;
        bool sawInterpreter = false;
        for (uint i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> header = file[(int)(table + i * 56)..][..56];
            uint kind = BinaryPrimitives.ReadUInt32LittleEndian(header);
            UInt128 offset = Word(header, 8), address = Word(header, 16);
            UInt128 fileSize = Word(header, 32), memorySize = Word(header, 40);
            if (kind == 3 && !sawInterpreter)
            {
                sawInterpreter = true;
                if (fileSize < 2 || fileSize > 4096 || offset + fileSize > (UInt128)file.Length)
                    return false;
                ReadOnlySpan<byte> path = file.Slice((int)offset, (int)fileSize);
                if (path[^1] != 0 || path[0] == 0)
                    return false;
            }
            if (kind != 1 || (fileSize == 0 && memorySize == 0))
                continue;
            if (fileSize > memorySize || offset + fileSize > ulong.MaxValue)
                return false;
            if (fileSize > 0 && (offset + fileSize > (UInt128)file.Length || offset % PageSize != address % PageSize))
                return false;
            if (address + memorySize > UserEnd || (type == 2 && address < UserStart))
                return false;
            low = UInt128.Min(low, address / PageSize * PageSize);
            high = UInt128.Max(high, address + memorySize);
            ranges.Add((address / PageSize, (address + memorySize + PageSize - 1) / PageSize));
        }
        ranges.Sort();
        for (int i = 1; i < ranges.Count; i++)
            if (ranges[i].First < ranges[i - 1].End)
                return false;
        if (ranges.Count == 0 || high - low > (UInt128)1 << 40)
            return false;
        return type == 2 ? entry < UserEnd : entry >= low && entry < high;
    }

    private static uint Half(ReadOnlySpan<byte> at, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(at[offset..]);

    private static ulong Word(ReadOnlySpan<byte> at, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(at[offset..]);
}
