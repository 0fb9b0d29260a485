using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Sandbox.Host;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Boot;

/// <summary>What the first vCPU's registers are when a kernel is entered.</summary>
static class EntryState
{
    // Code and data from selector 0x10 on, as the Linux boot protocol names them; a task segment behind.
    private const ushort CodeSelector = 0x10, DataSelector = 0x18, TaskSelector = 0x20;
    private const byte CodeType = 0xb, DataType = 0x3, BusyTask = 0xb;

    private const ulong ProtectionEnable = 1 << 0, ExtensionType = 1 << 4, Paging = 1UL << 31;
    private const ulong PhysicalAddressExtension = 1 << 5;
    private const ulong LongModeEnable = 1 << 8, LongModeActive = 1 << 10;
    private const ulong Present = 1, Writable = 2, LargePage = 1 << 7;
    private const ulong NoFlags = 2;

    /// <summary>
    /// The 64-bit boot protocol: long mode, memory below 4 GiB mapped to itself, RSI at the boot parameters.
    /// </summary>
    public static void EnterLinux(MachineVcpu vcpu, GuestRam ram, ulong entry)
    {
        WriteIdentityMap(ram);
        KvmVcpu target = vcpu.Vcpu;
        target.GetSpecialRegisters(out kvm_sregs registers);
        SetSegments(ref registers, ram, isLong: true);
        registers.cr3 = MachineLayout.PageTablesAddress;
        registers.cr4 = PhysicalAddressExtension;
        registers.cr0 = ProtectionEnable | ExtensionType | Paging;
        registers.efer = LongModeEnable | LongModeActive;
        target.SetSpecialRegisters(registers);
        target.SetRegisters(new kvm_regs { rip = entry, rsi = MachineLayout.BootParametersAddress, rflags = NoFlags });
    }

    /// <summary>PVH: 32-bit protected mode without paging, EBX at the start info.</summary>
    public static void EnterPvh(MachineVcpu vcpu, GuestRam ram, ulong entry)
    {
        KvmVcpu target = vcpu.Vcpu;
        target.GetSpecialRegisters(out kvm_sregs registers);
        SetSegments(ref registers, ram, isLong: false);
        registers.cr0 = ProtectionEnable | ExtensionType;
        registers.cr4 = 0;
        registers.efer = 0;
        target.SetSpecialRegisters(registers);
        target.SetRegisters(new kvm_regs { rip = entry, rbx = MachineLayout.StartInfoAddress, rflags = NoFlags });
    }

    private static void SetSegments(ref kvm_sregs registers, GuestRam ram, bool isLong)
    {
        kvm_segment code = Segment(CodeSelector, CodeType, isLong);
        kvm_segment data = Segment(DataSelector, DataType, isLong: false);
        registers.cs = code;
        registers.ds = registers.es = registers.fs = registers.gs = registers.ss = data;
        registers.tr = new kvm_segment { selector = TaskSelector, limit = 0x67, type = BusyTask, present = 1 };
        Span<ulong> table = [0, 0, Descriptor(code), Descriptor(data), Descriptor(registers.tr), 0];
        Write(ram, MachineLayout.GdtAddress, MemoryMarshal.AsBytes(table));
        registers.gdt.@base = MachineLayout.GdtAddress;
        registers.gdt.limit = (ushort)((table.Length * sizeof(ulong)) - 1);
        registers.idt.@base = 0;
        registers.idt.limit = 0;
    }

    /// <summary>All of memory, for the kernel.</summary>
    private static kvm_segment Segment(ushort selector, byte type, bool isLong) => new()
    {
        selector = selector, limit = uint.MaxValue, type = type, present = 1, s = 1, g = 1,
        l = (byte)(isLong ? 1 : 0), db = (byte)(isLong ? 0 : 1),
    };

    /// <summary>As it is in a descriptor table: Intel SDM volume 3, 3.4.5.</summary>
    private static ulong Descriptor(in kvm_segment segment)
    {
        ulong limit = segment.g != 0 ? segment.limit >> 12 : segment.limit;
        return (limit & 0xffff) | (segment.@base & 0xff_ffff) << 16 | (ulong)segment.type << 40 | (ulong)segment.s << 44
            | (ulong)segment.dpl << 45 | (ulong)segment.present << 47 | (limit >> 16 & 0xf) << 48
            | (ulong)segment.l << 53
            | (ulong)segment.db << 54 | (ulong)segment.g << 55 | (segment.@base >> 24 & 0xff) << 56;
    }

    /// <summary>A table of tables, a table of four directories, and these, of 2 MiB pages.</summary>
    private static void WriteIdentityMap(GuestRam ram)
    {
        const int tableSize = 4096, directories = 4, entries = 512;
        byte[] tables = new byte[(2 + directories) * tableSize];
        void Put(int table, int entry, ulong value) =>
            BinaryPrimitives.WriteUInt64LittleEndian(
                tables.AsSpan((table * tableSize) + (entry * sizeof(ulong))), value);
        Put(0, 0, (MachineLayout.PageTablesAddress + tableSize) | Present | Writable);
        for (int directory = 0; directory < directories; directory++)
        {
            Put(1, directory,
                (MachineLayout.PageTablesAddress + ((ulong)(2 + directory) * tableSize)) | Present | Writable);
            for (int entry = 0; entry < entries; entry++)
                Put(2 + directory, entry,
                    (((ulong)directory * entries) + (ulong)entry) << 21 | Present | Writable | LargePage);
        }
        Write(ram, MachineLayout.PageTablesAddress, tables);
    }

    internal static void Write(GuestRam ram, ulong address, ReadOnlySpan<byte> bytes)
    {
        // There is always RAM below 1 MiB.
        if (!ram.TryWrite(address, bytes))
            throw new InvalidOperationException($"no RAM at 0x{address:x}");
    }
}
