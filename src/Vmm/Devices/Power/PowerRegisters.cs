using System.Buffers.Binary;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Devices.Power;

/// <summary>
/// The registers by which a guest with hardware-reduced ACPI turns itself off and resets itself: sleep control, sleep
/// status and reset, a byte each (ACPI 6.5, 4.8.3.7 and 4.8.3.6). They work with any guest's kernel, or none.
/// </summary>
public sealed class PowerRegisters(GuestRam ram, Action<MachineEnd> end) : IBusDevice
{
    public const ulong SleepControl = 0;
    public const ulong SleepStatus = 1;
    public const ulong Reset = 2;
    public const ulong Length = 3;

    /// <summary>What the DSDT's \_S5 says is the type of soft off; the register has it in bits 2 to 4.</summary>
    public const byte SoftOffType = 5;

    /// <summary>What the FADT says to write to <see cref="Reset"/>.</summary>
    public const byte ResetValue = 1;

    private const byte SleepEnable = 1 << 5;
    private const byte SleepTypeMask = 7 << 2;

    // The warm-boot flag of a PC's BIOS data area. A kernel that is told reboot=panic_warm sets it after a panic only.
    private const ulong WarmBootFlag = 0x472;
    private const ushort WarmBoot = 0x1234;

    public void Read(ulong offset, Span<byte> data) => data.Clear();

    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length != 1)
            return;
        if (offset == SleepControl && (data[0] & (SleepEnable | SleepTypeMask)) == (SleepEnable | SoftOffType << 2))
            end(MachineEnd.PoweredOff);
        else if (offset == Reset && data[0] == ResetValue)
            end(HasPanicked() ? MachineEnd.Panicked : MachineEnd.Rebooted);
    }

    private bool HasPanicked()
    {
        Span<byte> flag = stackalloc byte[sizeof(ushort)];
        return ram.TryRead(WarmBootFlag, flag) && BinaryPrimitives.ReadUInt16LittleEndian(flag) == WarmBoot;
    }
}
