using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Supervisor.Machine;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Kernels;

/// <summary>What kind of file a kernel comes in.</summary>
enum KernelFormat
{
    None,
    BzImage,
    Elf,
}

/// <summary>
/// What a file says that it is, as far as it matters for whether a machine guest can start from it. The VMM, which
/// loads it, looks more closely; here nothing is followed but what these answers need. The file may hold anything.
/// </summary>
/// <param name="Version">Such as 6.1.0-56-amd64; null when it does not say.</param>
/// <param name="Problem">Why no guest can start from it; null when nothing speaks against it.</param>
sealed record KernelFile(KernelFormat Format, string? Version, string? Problem)
{
    /// <summary>2.12, Linux 3.8: the first boot protocol that tells of the 64-bit entry.</summary>
    const ushort OldestProtocol = 0x20c;

    const int HeadBytes = 0x290, SectorBytes = 512, MaximumSegments = 64, MaximumNotes = 64 << 10;
    const uint PhysicalEntryNote = 18;

    /// <summary>Of an open regular file.</summary>
    /// <exception cref="HostException">It cannot be read.</exception>
    public static KernelFile Examine(FileDescriptor file)
    {
        byte[] head = new byte[HeadBytes];
        int length = Read(file, head, 0);
        if (length >= 0x206 && head.AsSpan(0x202, 4).SequenceEqual("HdrS"u8))
            return new KernelFile(
                KernelFormat.BzImage, KernelVersion.Of(file), BzImageProblem(file, head.AsSpan(0, length)));
        if (length >= 4 && head.AsSpan(0, 4).SequenceEqual("\u007fELF"u8))
            return new KernelFile(KernelFormat.Elf, KernelVersion.Of(file), ElfProblem(file, head.AsSpan(0, length)));
        return new KernelFile(KernelFormat.None, null,
            length == 0 ? "the file is empty" : "the file is neither a bzImage nor an ELF kernel");
    }

    /// <summary>Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".</summary>
    static string? BzImageProblem(FileDescriptor file, ReadOnlySpan<byte> head)
    {
        if (head.Length < HeadBytes)
            return "the file is cut off";
        if (Word(head, 0x1fe) != 0xaa55)
            return "the file is neither a bzImage nor an ELF kernel";
        if (Word(head, 0x206) < OldestProtocol || (Word(head, 0x236) & 1) == 0)
            return "it has no 64-bit entry: it is for 32-bit machines, or older than Linux 3.8";
        long start = ((head[0x1f1] == 0 ? 4 : head[0x1f1]) + 1) * SectorBytes;
        long promised = 16L * BinaryPrimitives.ReadUInt32LittleEndian(head[0x1f4..]);
        return start + promised > Length(file) || start >= Length(file) ? "the file is cut off" : null;
    }

    /// <summary>PVH's entry is in a note (xen/include/public/elfnote.h).</summary>
    static string? ElfProblem(FileDescriptor file, ReadOnlySpan<byte> head)
    {
        if (head.Length < Marshal.SizeOf<Elf64_Ehdr>())
            return "the file is cut off";
        Elf64_Ehdr header = MemoryMarshal.Read<Elf64_Ehdr>(head);
        if (head[EI_CLASS] != ELFCLASS64 || head[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_X86_64)
            return "it is not for x86-64";
        if (header.e_phentsize != Marshal.SizeOf<Elf64_Phdr>() || header.e_phnum is 0 or > MaximumSegments)
            return "its segments contradict each other";
        Elf64_Phdr[] segments = new Elf64_Phdr[header.e_phnum];
        if (!TryRead(file, MemoryMarshal.AsBytes(segments.AsSpan()), header.e_phoff))
            return "the file is cut off";
        bool hasEntry = false;
        foreach (Elf64_Phdr segment in segments)
        {
            ulong end = segment.p_offset + segment.p_filesz;
            // Segments of no memory are not loaded: where they would be in the file means nothing.
            if (segment.p_type == PT_LOAD
                && segment.p_memsz != 0
                && (end < segment.p_offset || end > (ulong)Length(file)))
                return "the file is cut off";
            if (segment.p_type != PT_NOTE || hasEntry)
                continue;
            if (segment.p_filesz > MaximumNotes)
                return "its segments contradict each other";
            byte[] notes = new byte[segment.p_filesz];
            if (!TryRead(file, notes, segment.p_offset))
                return "the file is cut off";
            hasEntry = HasEntry(notes);
        }

        return hasEntry ? null : "the ELF kernel has no PVH entry";
    }

    /// <summary>
    /// Notes are three words (sizes of name and value, type), the name and the value, each padded to a word.
    /// </summary>
    static bool HasEntry(ReadOnlySpan<byte> notes)
    {
        const int head = 3 * sizeof(uint);
        while (notes.Length >= head)
        {
            ulong name = BinaryPrimitives.ReadUInt32LittleEndian(notes),
            value = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            ulong next = head + ((name + 3) & ~3UL) + ((value + 3) & ~3UL);
            if (next > (ulong)notes.Length)
                return false;
            if (BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]) == PhysicalEntryNote && value is 4 or 8
                && notes.Slice(head, (int)name).SequenceEqual("Xen\0"u8))
                return true;
            notes = notes[(int)next..];
        }

        return false;
    }

    static long Length(FileDescriptor file) => file.GetStatus(out stat status) == 0 ? status.st_size : 0;

    static bool TryRead(FileDescriptor file, Span<byte> bytes, ulong offset) =>
        offset <= long.MaxValue - (ulong)bytes.Length && Read(file, bytes, (long)offset) == bytes.Length;

    static int Read(FileDescriptor file, Span<byte> bytes, long offset) =>
        Audit.PrivateFile.ReadAt(file, bytes, offset, "kernel");

    static ushort Word(ReadOnlySpan<byte> head, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(head[offset..]);
}
