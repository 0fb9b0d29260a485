using System.Buffers.Binary;
using Sandbox.Vmm.Machine;

namespace Sandbox.Vmm.Boot;

/// <summary>struct boot_params, "the zero page": Documentation/arch/x86/zero-page.rst and boot.rst.</summary>
static class BootParameters
{
    public const int Size = 4096;

    private const int AcpiRsdp = 0x70, MapEntries = 0x1e8, LoaderType = 0x210, CodeStart = 0x214;
    private const int InitrdAddress = 0x218, InitrdSize = 0x21c, CommandLine = 0x228, Map = 0x2d0;
    private const int MapEntrySize = 20;

    /// <summary>A loader without a number of its own.</summary>
    private const byte UndefinedLoader = 0xff;

    public static byte[] Build(
        LoadedKernel kernel, (ulong Start, ulong Length, uint Type)[] map, ulong initrd, ulong initrdSize)
    {
        byte[] page = new byte[Size];
        kernel.SetupHeader!.CopyTo(page, LinuxKernel.HeaderStart);
        page[LoaderType] = UndefinedLoader;
        Put(page, AcpiRsdp, MachineLayout.AcpiAddress);
        Put(page, CodeStart, (uint)(kernel.Entry & ~0x3ffUL));
        Put(page, InitrdAddress, (uint)initrd);
        Put(page, InitrdSize, (uint)initrdSize);
        Put(page, CommandLine, (uint)MachineLayout.CommandLineAddress);
        page[MapEntries] = (byte)map.Length;
        for (int i = 0; i < map.Length; i++)
        {
            int at = Map + (i * MapEntrySize);
            Put(page, at, map[i].Start);
            Put(page, at + 8, map[i].Length);
            Put(page, at + 16, map[i].Type);
        }
        return page;
    }

    private static void Put(byte[] page, int offset, uint value) =>
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(offset), value);

    private static void Put(byte[] page, int offset, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(offset), value);
}
