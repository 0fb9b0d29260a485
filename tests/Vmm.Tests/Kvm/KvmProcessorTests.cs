using Sandbox.Vmm.Personality.Loader;
using Sandbox.Vmm.Platforms;
using Xunit;

namespace Sandbox.Vmm.Tests.Kvm;

/// <summary>The processor that a program sees, against the host's own.</summary>
public sealed class KvmProcessorTests
{
    /// <summary>The first line of flags in /proc/cpuinfo.</summary>
    private static readonly string[] HostFlags =
        File.ReadLines("/proc/cpuinfo").First(line => line.StartsWith("flags", StringComparison.Ordinal)).Split(' ');

    [Fact]
    public void TheProbeFindsTheGateAtCpl0WithHardwareVirtualizationOnly()
    {
        using KvmGuest guest = new([0x0f, 0x05]); // syscall
        bool hardware = HostFlags.Contains("vmx") || HostFlags.Contains("svm");
        Assert.Equal(!hardware, guest.Platform.SystemCallsStayInUserMode);
    }

    /// <summary>With hardware virtualization CR4.UMIP takes these from programs wherever the host has it.</summary>
    [Theory]
    [InlineData(new byte[] { 0x0f, 0x01, 0x03 })] // sgdt [rbx]
    [InlineData(new byte[] { 0x0f, 0x01, 0x0b })] // sidt [rbx]
    [InlineData(new byte[] { 0x0f, 0x01, 0xe0 })] // smsw eax
    public void DescriptorTablesAreNotForPrograms(byte[] code)
    {
        using KvmGuest guest = new([.. code, 0x0f, 0x05]);
        Assert.SkipWhen(
            guest.Platform.SystemCallsStayInUserMode, "on paravirtual KVM the host's own CR4 decides");
        Assert.SkipUnless(HostFlags.Contains("umip"), "the host's CPU has no UMIP");
        guest.Cpu.Registers.Rbx = KvmGuest.StackTop - 64;
        GuestExit exit = guest.Run();
        Assert.Equal((GuestExitKind.Exception, 13), (exit.Kind, exit.Vector));
    }

    [Fact]
    public void EveryProcessorHasTheHostsTimeStampCounter()
    {
        Assert.SkipUnless(
            File.ReadAllText("/sys/devices/system/clocksource/clocksource0/available_clocksource").Contains("tsc"),
            "the host's kernel does not trust its time-stamp counter, and KVM does not pass it on then");
        using KvmGuest guest = new([0x0f, 0x31, 0x0f, 0x05, 0xeb, 0xfa]); // 1: rdtsc; syscall; jmp 1b
        using TscSampler host = new(guestOffset: 0);
        VirtualCpu second = guest.Start(KvmGuest.CodeAddress);
        for (int i = 0; i < 20; i++)
        {
            VirtualCpu cpu = i % 2 == 0 ? guest.Cpu : second;
            ulong before = host.ReadHostTsc();
            Assert.Equal(GuestExitKind.SystemCall, guest.Run(cpu).Kind);
            ulong after = host.ReadHostTsc();
            Assert.InRange((cpu.Registers.Rdx << 32) | cpu.Registers.Rax, before, after);
        }
        guest.Platform.ReturnCpu(second);
    }
}
