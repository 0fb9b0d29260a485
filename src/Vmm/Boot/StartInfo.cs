using System.Buffers.Binary;
using Sandbox.Vmm.Machine;

namespace Sandbox.Vmm.Boot;

/// <summary>
/// struct hvm_start_info with one module and the memory map behind it: xen/include/public/arch-x86/hvm/start_info.h.
/// </summary>
static class StartInfo
{
    private const uint Magic = 0x336e_c578, Version = 1;
    private const int HeadSize = 56, ModuleSize = 32, MapEntrySize = 24;

    public static byte[] Build((ulong Start, ulong Length, uint Type)[] map, ulong initrd, ulong initrdSize)
    {
        byte[] all = new byte[HeadSize + ModuleSize + (map.Length * MapEntrySize)];
        Span<byte> to = all;
        int modules = initrdSize == 0 ? 0 : 1;
        BinaryPrimitives.WriteUInt32LittleEndian(to, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(to[4..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(to[12..], modules);
        BinaryPrimitives.WriteUInt64LittleEndian(
            to[16..], modules == 0 ? 0 : MachineLayout.StartInfoAddress + HeadSize);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], MachineLayout.CommandLineAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(to[32..], MachineLayout.AcpiAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(to[40..], MachineLayout.StartInfoAddress + HeadSize + ModuleSize);
        BinaryPrimitives.WriteInt32LittleEndian(to[48..], map.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(to[HeadSize..], initrd);
        BinaryPrimitives.WriteUInt64LittleEndian(to[(HeadSize + 8)..], initrdSize);
        for (int i = 0; i < map.Length; i++)
        {
            Span<byte> entry = to[(HeadSize + ModuleSize + (i * MapEntrySize))..];
            BinaryPrimitives.WriteUInt64LittleEndian(entry, map[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], map[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], map[i].Type);
        }
        return all;
    }
}
