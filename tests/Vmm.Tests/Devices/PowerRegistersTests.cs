using Sandbox.Vmm.Devices.Power;
using Sandbox.Vmm.Machine;
using Xunit;

namespace Sandbox.Vmm.Tests.Devices;

public sealed class PowerRegistersTests : IDisposable
{
    private readonly MachineRam _ram = new(MachineLayout.MinimumRam, null);
    private readonly List<MachineEnd> _ends = [];
    private readonly PowerRegisters _power;

    public PowerRegistersTests() => _power = new PowerRegisters(_ram.Memory, _ends.Add);

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void Soft_off_is_one_value_of_one_register()
    {
        for (int register = 0; register < 3; register++)
            for (int value = 0; value < 256; value++)
            {
                _ends.Clear();
                _power.Write((ulong)register, [(byte)value]);
                // The type is 5, enabled; the other bits of the register are reserved.
                bool off = register == 0 && (value & 0x3c) == 0x34;
                bool reset = register == 2 && value == 1;
                Assert.Equal(off ? [MachineEnd.PoweredOff] : reset ? [MachineEnd.Rebooted] : [], _ends);
            }
    }

    [Fact]
    public void A_reset_after_the_warm_boot_flag_is_a_panic()
    {
        Assert.True(_ram.Memory.TryWrite(0x472, [0x34, 0x12]));
        _power.Write(PowerRegisters.Reset, [PowerRegisters.ResetValue]);
        Assert.Equal([MachineEnd.Panicked], _ends);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void Wider_accesses_do_nothing(int length)
    {
        byte[] data = new byte[length];
        data[0] = 0x34;
        _power.Write(0, data);
        _power.Read(0, data);
        Assert.Empty(_ends);
        Assert.All(data, each => Assert.Equal(0, each));
    }
}
