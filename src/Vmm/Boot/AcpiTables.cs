using System.Buffers.Binary;
using Sandbox.Vmm.Devices.Power;
using Sandbox.Vmm.Machine;

namespace Sandbox.Vmm.Boot;

/// <summary>
/// The ACPI tables of a machine guest, hardware-reduced: RSDP, XSDT, FADT, MADT and a DSDT with the serial port and one
/// node for each virtio device. ACPI 6.5, chapter 5.
/// </summary>
static class AcpiTables
{
    private const int RsdpSize = 36, HeaderSize = 36, FadtSize = 276;

    private const uint ResetSupported = 1 << 10, HardwareReduced = 1 << 20, NoPowerButton = 1 << 4,
        NoSleepButton = 1 << 5;
    private const uint CachesFlush = 1 << 0;
    private const ushort NoVga = 1 << 2, NoClock = 1 << 5;

    /// <summary>EISA's short form of PNP0501: a 16550A serial port.</summary>
    private const uint SerialPortId = 0x0105_d041;

    /// <param name="address">Where the result goes; the RSDP is first.</param>
    /// <param name="cpus">Processors, whose local APICs have the numbers from 0 on.</param>
    /// <param name="virtioDevices">How many there are, in the layout's places.</param>
    public static byte[] Build(ulong address, int cpus, int virtioDevices)
    {
        List<byte> all = [.. new byte[RsdpSize]];
        ulong Add(byte[] table)
        {
            while (all.Count % 16 != 0)
                all.Add(0);
            ulong at = address + (ulong)all.Count;
            all.AddRange(table);
            return at;
        }

        ulong dsdt = Add(Table("DSDT", 2, Dsdt(virtioDevices)));
        ulong fadt = Add(Table("FACP", 6, Fadt(dsdt)));
        ulong madt = Add(Table("APIC", 5, Madt(cpus)));
        byte[] pointers = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(pointers, fadt);
        BinaryPrimitives.WriteUInt64LittleEndian(pointers.AsSpan(8), madt);
        ulong xsdt = Add(Table("XSDT", 1, pointers));
        byte[] bytes = [.. all];
        WriteRsdp(bytes, xsdt);
        return bytes;
    }

    private static void WriteRsdp(Span<byte> to, ulong xsdt)
    {
        const int firstSize = 20;
        "RSD PTR "u8.CopyTo(to);
        "SANDBX"u8.CopyTo(to[9..]);
        to[15] = 2;
        BinaryPrimitives.WriteInt32LittleEndian(to[20..], RsdpSize);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], xsdt);
        to[8] = Complement(to[..firstSize]);
        to[32] = Complement(to[..RsdpSize]);
    }

    /// <summary>A table with its header: 5.2.6.</summary>
    private static byte[] Table(string signature, byte revision, ReadOnlySpan<byte> body)
    {
        byte[] table = new byte[HeaderSize + body.Length];
        for (int i = 0; i < signature.Length; i++)
            table[i] = (byte)signature[i];
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(4), table.Length);
        table[8] = revision;
        "SANDBX"u8.CopyTo(table.AsSpan(10));
        "MACHINE\0"u8.CopyTo(table.AsSpan(16));
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(24), 1);
        "SNBX"u8.CopyTo(table.AsSpan(28));
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(32), 1);
        body.CopyTo(table.AsSpan(HeaderSize));
        table[9] = Complement(table);
        return table;
    }

    /// <summary>What makes the sum of all bytes zero.</summary>
    private static byte Complement(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte each in bytes)
            sum += each;
        return (byte)-sum;
    }

    /// <summary>5.2.9. All that is not there is 0: no timers, no events, no firmware to hand over to.</summary>
    private static byte[] Fadt(ulong dsdt)
    {
        byte[] table = new byte[FadtSize];
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(40), (uint)dsdt);
        BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(109), NoVga | NoClock);
        BinaryPrimitives.WriteUInt32LittleEndian(
            table.AsSpan(112), CachesFlush | NoPowerButton | NoSleepButton | ResetSupported | HardwareReduced);
        WritePort(table.AsSpan(116), PowerRegisters.Reset);
        table[128] = PowerRegisters.ResetValue;
        table[131] = 5;
        BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan(140), dsdt);
        WritePort(table.AsSpan(244), PowerRegisters.SleepControl);
        WritePort(table.AsSpan(256), PowerRegisters.SleepStatus);
        return table[HeaderSize..];
    }

    /// <summary>A generic address: a byte in port space, of 8 bits.</summary>
    private static void WritePort(Span<byte> to, ulong register)
    {
        ReadOnlySpan<byte> head = [1, 8, 0, 1];
        head.CopyTo(to);
        BinaryPrimitives.WriteUInt64LittleEndian(to[4..], MachineLayout.PowerPort + register);
    }

    /// <summary>5.2.12: a local APIC for each processor, and the I/O APIC.</summary>
    private static byte[] Madt(int cpus)
    {
        List<byte> body = [.. Bytes((uint)MachineLayout.LocalApicAddress), .. Bytes(0)];
        for (int cpu = 0; cpu < cpus; cpu++)
            body.AddRange([0, 8, (byte)cpu, (byte)cpu, .. Bytes(1)]);
        body.AddRange([1, 12, 0, 0, .. Bytes((uint)MachineLayout.IoApicAddress), .. Bytes(0)]);
        return [.. body];
    }

    private static byte[] Dsdt(int virtioDevices) => new AmlWriter()
        .Name(@"\_S5_", [PowerRegisters.SoftOffType, 0, 0, 0])
        .Scope(@"\_SB_", system =>
        {
            system.Device("COM1", port => port
                .Name("_HID", SerialPortId)
                .Name("_UID", 0)
                .Resources(
                    list => list.PortRange(MachineLayout.SerialPort, 8).Interrupt(MachineLayout.SerialInterrupt)));
            for (int i = 0; i < virtioDevices; i++)
            {
                int number = i;
                system.Device($"VR{number:X2}", device => device
                    .Name("_HID", "LNRO0005")
                    .Name("_UID", (uint)number)
                    .Name("_CCA", 1)
                    .Resources(list => list
                        .MemoryRange((uint)MachineLayout.VirtioAddress(number), (uint)MachineLayout.VirtioStride)
                        .Interrupt(MachineLayout.VirtioInterrupt + (uint)number)));
            }
        })
        .ToArray();

    private static byte[] Bytes(uint value)
    {
        byte[] bytes = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }
}
