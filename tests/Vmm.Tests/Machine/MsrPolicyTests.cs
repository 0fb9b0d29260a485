using Sandbox.Vmm.Machine;
using Xunit;

namespace Sandbox.Vmm.Tests.Machine;

public class MsrPolicyTests
{
    private static bool IsAllowedByFilter(uint register)
    {
        foreach ((uint first, int count) in MsrPolicy.Ranges)
            if (register >= first && register - first < (uint)count)
            {
                int bit = (int)(register - first);
                return (MsrPolicy.Bitmap(first, count)[bit / 8] >> bit % 8 & 1) != 0;
            }
        return false;
    }

    [Theory]
    [InlineData(0xc000_0080u)] // EFER
    [InlineData(0xc000_0101u)] // GS.base: the kernel's first write
    [InlineData(0xc000_0103u)] // TSC_AUX
    [InlineData(0x4b56_4d01u)] // KVM's clock
    [InlineData(0x277u)] // PAT
    [InlineData(0x6e0u)] // the deadline timer
    public void What_kernels_cannot_do_without_is_allowed(uint register) => Assert.True(IsAllowedByFilter(register));

    [Theory]
    [InlineData(0xc001_0117u)] // VM_HSAVE_PA
    [InlineData(0xc001_0114u)] // VM_CR
    [InlineData(0x480u)] // IA32_VMX_BASIC
    [InlineData(0x4fu)] // PPIN: the host's serial number
    [InlineData(0xceu)] // PLATFORM_INFO
    [InlineData(0xc1u)] // a performance counter
    [InlineData(0xc001_0200u)] // one of AMD's
    [InlineData(0x4b56_4d02u)] // KVM's asynchronous page faults
    [InlineData(0x4000_0000u)] // Hyper-V's
    [InlineData(uint.MaxValue)]
    public void Everything_else_is_refused(uint register) => Assert.False(IsAllowedByFilter(register));

    [Fact]
    public void Every_allowed_register_lies_in_a_range_of_the_filter()
    {
        for (uint register = 0; register < 0x2000; register++)
            foreach (uint @base in (uint[])[0, 0x4b56_4000, 0xc000_0000, 0xc001_0000])
                Assert.Equal(MsrPolicy.Allows(@base + register), IsAllowedByFilter(@base + register));
    }

    [Fact]
    public void Ranges_are_such_as_KVM_takes()
    {
        Assert.InRange(MsrPolicy.Ranges.Count, 1, 16);
        Assert.All(MsrPolicy.Ranges, range => Assert.True(range.Count % 64 == 0 && range.Count / 8 <= 0x600));
    }
}
