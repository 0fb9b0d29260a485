using System.Buffers.Binary;

namespace Sandbox.EndToEnd.Harness;

/// <summary>
/// Writes ELF programs for x86-64 that say "hello" and exit, and ones that are wrong in one named way. elf(5).
/// </summary>
sealed class ElfFile
{
    const int HeaderSize = 64, ProgramHeaderSize = 56;
    const ulong Base = 0x400000;

    // mov edi,1; lea rsi,[rip+text]; mov edx,6; mov eax,1; syscall; xor edi,edi; mov eax,60; syscall; "hello\n"
    static readonly byte[] s_code =
    [
        0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 21, 0, 0, 0, 0xba, 6, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05,
        0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05, (byte)'h', (byte)'e', (byte)'l', (byte)'l', (byte)'o', (byte)'\n',
    ];

    readonly byte[] _bytes;

    ElfFile(int segments)
    {
        Segments = segments;
        _bytes = new byte[4096];
    }

    int Segments { get; }

    /// <summary>A correct program: one executable segment, and as many further empty headers as asked for.</summary>
    public static ElfFile Correct(int segments = 1)
    {
        var file = new ElfFile(segments);
        "\x7f"u8.CopyTo(file._bytes);
        "ELF"u8.CopyTo(file._bytes.AsSpan(1));
        file._bytes[4] = 2; // 64 bits
        file._bytes[5] = 1; // little-endian
        file._bytes[6] = 1; // version
        file.Set16(16, 2).Set16(18, 62).Set32(20, 1); // ET_EXEC, EM_X86_64
        int code = HeaderSize + ProgramHeaderSize * segments;
        file.Set64(24, Base + (ulong)code).Set64(32, HeaderSize).Set16(52, HeaderSize).Set16(54, ProgramHeaderSize).Set16(56, (ushort)segments);
        s_code.CopyTo(file._bytes, code);
        file.Segment(0, type: 1, flags: 5, offset: 0, address: Base, fileSize: 4096, memorySize: 4096);
        return file;
    }

    public ElfFile Set16(int offset, ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(offset), value);
        return this;
    }

    public ElfFile Set32(int offset, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(offset), value);
        return this;
    }

    public ElfFile Set64(int offset, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(offset), value);
        return this;
    }

    public ElfFile Segment(
        int index, uint type, uint flags, ulong offset, ulong address, ulong fileSize, ulong memorySize, ulong alignment = 4096)
    {
        int at = HeaderSize + ProgramHeaderSize * index;
        return Set32(at, type).Set32(at + 4, flags).Set64(at + 8, offset).Set64(at + 16, address).Set64(at + 24, address)
            .Set64(at + 32, fileSize).Set64(at + 40, memorySize).Set64(at + 48, alignment);
    }

    public ElfFile Text(int offset, string text)
    {
        System.Text.Encoding.ASCII.GetBytes(text).CopyTo(_bytes, offset);
        return this;
    }

    public ElfFile Set8(int offset, byte value)
    {
        _bytes[offset] = value;
        return this;
    }

    public byte[] ToArray(int length = 4096) => _bytes[..length];

    /// <summary>Files that no kernel runs, by what is wrong with them.</summary>
    public static IReadOnlyDictionary<string, Func<byte[]>> Wrong { get; } = new Dictionary<string, Func<byte[]>>
    {
        ["empty"] = () => [],
        ["one byte"] = () => [0x7f],
        ["magic alone"] = () => Correct().ToArray(4),
        ["half an ELF header"] = () => Correct().ToArray(32),
        ["no program headers in the file"] = () => Correct().ToArray(64),
        ["half a program header"] = () => Correct().ToArray(90),
        ["text without #!"] = () => "just some text\n"u8.ToArray(),
        ["binary noise"] = () => [.. Enumerable.Range(0, 4096).Select(i => (byte)(i * 7919 >> 3))],
        ["wrong magic"] = () => Correct().Text(1, "FLE").ToArray(),
        ["aarch64"] = () => Correct().Set16(18, 183).ToArray(),
        ["i386"] = () => Correct().Set16(18, 3).ToArray(),
        ["relocatable object"] = () => Correct().Set16(16, 1).ToArray(),
        ["core file"] = () => Correct().Set16(16, 4).ToArray(),
        ["program header size of 32"] = () => Correct().Set16(54, 32).ToArray(),
        ["no program headers"] = () => Correct().Set16(56, 0).ToArray(),
        ["65535 program headers"] = () => Correct().Set16(56, 65535).ToArray(),
        ["program headers beyond the file"] = () => Correct().Set64(32, 1 << 20).ToArray(),
        ["program header offset wraps"] = () => Correct().Set64(32, ulong.MaxValue - 8).ToArray(),
        ["file size larger than memory size"] = () => Correct().Segment(0, 1, 5, 0, Base, 4096, 100).ToArray(),
        ["segment of 2^63 bytes"] = () => Correct().Segment(0, 1, 5, 0, Base, 4096, 1UL << 63).ToArray(),
        ["segment of the whole address space"] = () => Correct().Segment(0, 1, 5, 0, Base, 4096, ulong.MaxValue - Base).ToArray(),
        ["segment address wraps"] = () => Correct().Segment(0, 1, 5, 0, ulong.MaxValue - 4095, 4096, 8192).ToArray(),
        ["segment in the kernel's half"] = () => Correct().Segment(0, 1, 5, 0, 0xffff800000000000, 4096, 4096).ToArray(),
        ["segment at the non-canonical edge"] = () => Correct().Segment(0, 1, 5, 0, 0x00007ffffffff000, 4096, 8192).ToArray(),
        ["segment offset not congruent to its address"] = () => Correct().Segment(0, 1, 5, 1, Base, 4096, 4096).ToArray(),
        ["interpreter that does not exist"] = () => Correct(2).Segment(1, 3, 4, 512, Base + 512, 12, 12).Text(512, "/nonexistent").ToArray(),
        ["interpreter name without an end"] = () => Correct(2).Segment(1, 3, 4, 512, Base + 512, 8, 8).Text(512, "/lib64/l").ToArray(),
        ["interpreter name of 1 GiB"] = () => Correct(2).Segment(1, 3, 4, 512, Base + 512, 1 << 30, 1 << 30).ToArray(),
        ["interpreter name beyond the file"] = () => Correct(2).Segment(1, 3, 4, 1 << 20, Base + 512, 20, 20).ToArray(),
        ["interpreter that is a folder"] = () => Correct(2).Segment(1, 3, 4, 512, Base + 512, 5, 5).Text(512, "/usr\0").ToArray(),
        ["interpreter that is text"] = () => Correct(2).Segment(1, 3, 4, 512, Base + 512, 12, 12).Text(512, "/etc/passwd\0").ToArray(),
        ["#! without an interpreter"] = () => "#!\n"u8.ToArray(),
        ["#! with spaces alone"] = () => "#!   \n"u8.ToArray(),
        ["#! of a missing interpreter"] = () => "#!/no/such/thing\n"u8.ToArray(),
        ["#! of a folder"] = () => "#!/usr\n"u8.ToArray(),
        ["#! of a file that is not executable"] = () => "#!/etc/passwd\n"u8.ToArray(),
        ["#! of itself"] = () => "#!/bad/program\n"u8.ToArray(),
        ["#! line of 300 characters"] = () => System.Text.Encoding.ASCII.GetBytes($"#!/{new string('x', 300)}\n"),
    };
}
