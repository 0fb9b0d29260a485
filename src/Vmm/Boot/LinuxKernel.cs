using System.Buffers.Binary;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Boot;

/// <summary>
/// Loads a bzImage for its 64-bit entry: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" and "64-bit
/// Boot Protocol". The kernel in it unpacks itself.
/// </summary>
static class LinuxKernel
{
    /// <summary>Where the setup header is, in the file and in struct boot_params.</summary>
    public const int HeaderStart = 0x1f1;

    /// <summary>Where it ends at the latest: other members of struct boot_params follow.</summary>
    public const int HeaderLimit = 0x290;

    private const int SetupSectors = 0x1f1, SystemSize = 0x1f4, BootFlag = 0x1fe, Jump = 0x201, Magic = 0x202,
        Version = 0x206;
    private const int InitrdLimit = 0x22c, Alignment = 0x230, Relocatable = 0x234, LoadFlags2 = 0x236,
        CommandLineSize = 0x238;
    private const int PreferredAddress = 0x258, InitSize = 0x260;

    /// <summary>2.12, Linux 3.8: the first that tells of the 64-bit entry.</summary>
    private const ushort OldestVersion = 0x20c;
    private const ushort Has64BitEntry = 1;
    private const ulong EntryOffset = 0x200;
    private const int Sector = 512;

    public static bool IsOne(IBootFile file)
    {
        Span<byte> magic = stackalloc byte[4];
        return file.TryRead(Magic, magic) && magic.SequenceEqual("HdrS"u8);
    }

    public static BootProblem Load(IBootFile file, GuestRam ram, out LoadedKernel? kernel)
    {
        kernel = null;
        byte[] head = new byte[HeaderLimit];
        if (!file.TryRead(0, head))
            return BootProblem.Truncated;
        if (Word(head, BootFlag) != 0xaa55)
            return BootProblem.NotAKernel;
        if (Word(head, Version) < OldestVersion || (Word(head, LoadFlags2) & Has64BitEntry) == 0)
            return BootProblem.NoLinuxEntry;
        int end = Magic + head[Jump];
        if (end <= InitSize + sizeof(uint) - 1 || end > HeaderLimit)
            return BootProblem.BadSegments;

        int sectors = head[SetupSectors] == 0 ? 4 : head[SetupSectors];
        ulong start = (ulong)((sectors + 1) * Sector);
        ulong promised = (ulong)DoubleWord(head, SystemSize) * 16;
        if (start >= file.Length || promised > file.Length - start)
            return BootProblem.Truncated;
        ulong length = file.Length - start, room = DoubleWord(head, InitSize);
        if (room < length || length <= EntryOffset)
            return BootProblem.BadSegments;
        if (!TryPlace(head, ram, room, out ulong address))
            return BootProblem.KernelTooLarge;
        if (!RamCopy.TryLoad(file, start, ram, address, length))
            return BootProblem.Truncated;
        kernel = new LoadedKernel
        {
            Entry = address + EntryOffset,
            End = address + room,
            SetupHeader = head[HeaderStart..end],
            LastInitrdByte = DoubleWord(head, InitrdLimit),
            MaximumCommandLine = (int)Math.Min(DoubleWord(head, CommandLineSize), MachineLayout.MaximumCommandLine),
        };
        return BootProblem.None;
    }

    /// <summary>Where it wants to be; or, if the guest has too little memory for that, as low as it may.</summary>
    private static bool TryPlace(byte[] head, GuestRam ram, ulong room, out ulong address)
    {
        address = BinaryPrimitives.ReadUInt64LittleEndian(head.AsSpan(PreferredAddress));
        if (address >= MachineLayout.KernelStart && ram.Contains(address, room))
            return true;
        ulong alignment = DoubleWord(head, Alignment);
        if (head[Relocatable] == 0 || alignment == 0)
            return false;
        address = (MachineLayout.KernelStart + alignment - 1) / alignment * alignment;
        return ram.Contains(address, room);
    }

    private static ushort Word(byte[] head, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(offset));

    private static uint DoubleWord(byte[] head, int offset) =>
        BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(offset));
}
