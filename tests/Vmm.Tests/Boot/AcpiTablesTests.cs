using System.Buffers.Binary;
using System.Text;
using Sandbox.Vmm.Boot;
using Sandbox.Vmm.Machine;
using Xunit;

namespace Sandbox.Vmm.Tests.Boot;

public class AcpiTablesTests
{
    private readonly byte[] _all = AcpiTables.Build(MachineLayout.AcpiAddress, 3, 16);

    private ulong Long(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(_all.AsSpan(offset));

    private byte[] Table(ulong address)
    {
        int at = (int)(address - MachineLayout.AcpiAddress);
        return _all[at..(at + BinaryPrimitives.ReadInt32LittleEndian(_all.AsSpan(at + 4)))];
    }

    private byte[][] Tables()
    {
        byte[] xsdt = Table(Long(24));
        return [xsdt, .. Enumerable.Range(0, (xsdt.Length - 36) / 8)
            .Select(i => Table(BinaryPrimitives.ReadUInt64LittleEndian(xsdt.AsSpan(36 + (i * 8)))))];
    }

    private byte[] Fadt => Tables().Single(table => Name(table) == "FACP");

    private byte[] Dsdt => Table(BinaryPrimitives.ReadUInt64LittleEndian(Fadt.AsSpan(140)));

    private static string Name(byte[] table) => Encoding.ASCII.GetString(table, 0, 4);

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte each in bytes)
            sum += each;
        return sum;
    }

    [Fact]
    public void Every_checksum_is_right_and_all_fits_below_1_MiB()
    {
        Assert.Equal("RSD PTR ", Encoding.ASCII.GetString(_all, 0, 8));
        Assert.Equal((0, 0), (Sum(_all.AsSpan(0, 20)), Sum(_all.AsSpan(0, 36))));
        Assert.Equal(["XSDT", "FACP", "APIC"], Tables().Select(Name));
        Assert.All([.. Tables(), Dsdt], table => Assert.Equal(0, Sum(table)));
        Assert.True(MachineLayout.AcpiAddress + (ulong)_all.Length <= MachineLayout.AcpiEnd);
    }

    [Fact]
    public void The_machine_is_hardware_reduced_with_registers_for_reset_and_sleep()
    {
        byte[] table = Fadt;
        Assert.Equal(276, table.Length);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(table.AsSpan(112));
        Assert.Equal((1u << 20) | (1u << 10), flags & ((1u << 20) | (1u << 10)));
        foreach ((int at, ushort port) in ((int, ushort)[])[(116, 0x602), (244, 0x600), (256, 0x601)])
            Assert.Equal([1, 8, 0, 1, (byte)port, (byte)(port >> 8), 0, 0, 0, 0, 0, 0], table[at..(at + 12)]);
        Assert.Equal(1, table[128]);
    }

    [Fact]
    public void Every_processor_has_an_APIC_and_there_is_one_for_devices()
    {
        byte[] table = Tables().Single(each => Name(each) == "APIC");
        Assert.Equal(0xfee0_0000u, BinaryPrimitives.ReadUInt32LittleEndian(table.AsSpan(36)));
        for (int cpu = 0; cpu < 3; cpu++)
            Assert.Equal([0, 8, (byte)cpu, (byte)cpu, 1, 0, 0, 0], table[(44 + (cpu * 8))..(52 + (cpu * 8))]);
        Assert.Equal([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0], table[68..]);
    }

    [Fact]
    public void Devices_are_described_in_the_layouts_places()
    {
        string text = Encoding.Latin1.GetString(Dsdt);
        Assert.Equal(16, text.Split("LNRO0005").Length - 1);
        // A fixed memory range of a page and an edge-triggered interrupt, of the last device.
        Assert.Contains("\u0086\t\0\u0001\0\u00f0\0\u00d0\0\u0010\0\0\u0089\u0006\0\u0003\u0001\u0014\0\0\0y\0", text);
        // \_S5 is a package of 4 whose first element is 5.
        Assert.Contains("\\_S5_\u0012\u0007\u0004\n\u0005\0\0\0", text);
    }

    [Fact]
    public void Package_lengths_hold_exactly_what_they_count()
    {
        byte[] aml = Dsdt[36..];
        // Behind \_S5 there is one scope, which ends with the table.
        int scope = Array.IndexOf(aml, (byte)0x10, 8);
        int length = (aml[scope + 1] & 0xf) | aml[scope + 2] << 4;
        Assert.Equal((1, aml.Length), (aml[scope + 1] >> 6, scope + 1 + length));
    }
}
