using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Virtio;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Boot;

/// <summary>
/// Loads an ELF kernel with a PVH entry: the note that says where to begin in 32-bit protected mode, of Xen's interface
/// for PVH guests (xen/include/public/arch-x86/hvm/start_info.h and elfnote.h).
/// </summary>
static class ElfKernel
{
    private const int MaximumSegments = 64;
    private const int MaximumNotes = 64 << 10;
    private const uint PhysicalEntryNote = 18;

    private static ReadOnlySpan<byte> Owner => "Xen\0"u8;

    public static ReadOnlySpan<byte> Magic => [0x7f, (byte)'E', (byte)'L', (byte)'F'];

    public static BootProblem Load(IBootFile file, GuestRam ram, out LoadedKernel? kernel)
    {
        kernel = null;
        Span<byte> head = stackalloc byte[Marshal.SizeOf<Elf64_Ehdr>()];
        if (!file.TryRead(0, head))
            return BootProblem.Truncated;
        Elf64_Ehdr header = MemoryMarshal.Read<Elf64_Ehdr>(head);
        if (head[EI_CLASS] != ELFCLASS64 || head[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_X86_64)
            return BootProblem.WrongArchitecture;
        int size = Marshal.SizeOf<Elf64_Phdr>();
        if (header.e_phentsize != size || header.e_phnum is 0 or > MaximumSegments)
            return BootProblem.BadSegments;
        Elf64_Phdr[] segments = new Elf64_Phdr[header.e_phnum];
        if (!file.TryRead(header.e_phoff, MemoryMarshal.AsBytes(segments.AsSpan())))
            return BootProblem.Truncated;

        ulong end = 0;
        BootProblem problem = FindEntry(file, segments, out uint entry);
        if (problem == BootProblem.None)
            problem = Check(file, ram, segments, entry, out end);
        if (problem != BootProblem.None)
            return problem;
        foreach (Elf64_Phdr segment in segments)
            // What is beyond the file's part is zero already: the guest's RAM is new.
            if (segment.p_type == PT_LOAD
                && !RamCopy.TryLoad(file, segment.p_offset, ram, segment.p_paddr, segment.p_filesz))
                return BootProblem.Truncated;
        kernel = new LoadedKernel
        {
            Entry = entry,
            End = end,
            // Linux looks for it below 4 GiB, where this machine's RAM ends before that.
            LastInitrdByte = uint.MaxValue,
            MaximumCommandLine = MachineLayout.MaximumCommandLine,
        };
        return BootProblem.None;
    }

    private static BootProblem Check(IBootFile file, GuestRam ram, Elf64_Phdr[] segments, uint entry, out ulong end)
    {
        end = 0;
        bool entered = false;
        for (int i = 0; i < segments.Length; i++)
        {
            ref readonly Elf64_Phdr segment = ref segments[i];
            if (segment.p_type != PT_LOAD)
                continue;
            // Before those of no memory are passed over: what the file has of them would be loaded unchecked.
            if (segment.p_filesz > segment.p_memsz)
                return BootProblem.BadSegments;
            if (segment.p_memsz == 0)
                continue;
            ulong after = segment.p_paddr + segment.p_memsz;
            if (after < segment.p_paddr || segment.p_paddr < MachineLayout.KernelStart)
                return BootProblem.BadSegments;
            if (segment.p_offset > file.Length || segment.p_filesz > file.Length - segment.p_offset)
                return BootProblem.Truncated;
            for (int j = 0; j < i; j++)
                if (segments[j].p_type == PT_LOAD && segment.p_paddr < segments[j].p_paddr + segments[j].p_memsz
                    && segments[j].p_paddr < after)
                    return BootProblem.BadSegments;
            if (!ram.Contains(segment.p_paddr, segment.p_memsz))
                return BootProblem.KernelTooLarge;
            entered |= entry >= segment.p_paddr && entry < after;
            end = Math.Max(end, after);
        }
        return entered ? BootProblem.None : BootProblem.BadSegments;
    }

    private static BootProblem FindEntry(IBootFile file, Elf64_Phdr[] segments, out uint entry)
    {
        entry = 0;
        foreach (Elf64_Phdr segment in segments)
        {
            if (segment.p_type != PT_NOTE)
                continue;
            if (segment.p_filesz > MaximumNotes)
                return BootProblem.BadSegments;
            byte[] notes = new byte[segment.p_filesz];
            if (!file.TryRead(segment.p_offset, notes))
                return BootProblem.Truncated;
            if (TryFindEntry(notes, out entry))
                return BootProblem.None;
        }
        return BootProblem.NoPvhEntry;
    }

    /// <summary>
    /// Notes are three words (sizes of name and value, type), the name and the value, each padded to a word.
    /// </summary>
    private static bool TryFindEntry(ReadOnlySpan<byte> notes, out uint entry)
    {
        const int head = 3 * sizeof(uint);
        while (notes.Length >= head)
        {
            ulong nameSize = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            ulong valueSize = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]);
            ulong value = head + ((nameSize + 3) & ~3UL);
            ulong next = value + ((valueSize + 3) & ~3UL);
            if (next > (ulong)notes.Length)
                break;
            if (type == PhysicalEntryNote && valueSize is 4 or 8
                && notes.Slice(head, (int)nameSize).SequenceEqual(Owner))
            {
                entry = BinaryPrimitives.ReadUInt32LittleEndian(notes[(int)value..]);
                return true;
            }
            notes = notes[(int)next..];
        }
        entry = 0;
        return false;
    }
}
