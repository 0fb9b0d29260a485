using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Platforms.Kvm;
using Xunit;

namespace Sandbox.Vmm.Tests.Kvm;

/// <summary>A few bytes of user code in a KVM virtual machine of its own.</summary>
sealed class KvmGuest : IDisposable
{
    public const ulong CodeAddress = 0x40_0000;
    public const ulong StackTop = 0x80_0000;

    public KvmGuest(ReadOnlySpan<byte> code, ulong memory = 64 << 20)
    {
        FileDescriptor? device = null;
        try
        {
            device = FileDescriptor.Open("/dev/kvm", Libc.O_RDWR);
        }
        catch (HostException refused)
        {
            Assert.Skip(refused.Message);
        }
        Platform = new KvmPlatform(new KvmMachine(device));
        Platform.Memory.Open(memory);
        Memory = Platform.Memory.CreateAddressSpace()!;
        Assert.Equal((long)CodeAddress, Map(CodeAddress, 2 * Page.Size, Protection.All));
        Assert.Equal((long)(StackTop - 0x4000), Map(StackTop - 0x4000, 0x4000, Protection.ReadWrite));
        Assert.True(Memory.TryWrite(new VirtualAddress(CodeAddress), code));
        Cpu = Start(CodeAddress);
    }

    public KvmPlatform Platform { get; }

    public AddressSpace Memory { get; }

    public VirtualCpu Cpu { get; }

    public VirtualCpu Start(ulong rip)
    {
        VirtualCpu cpu = Platform.RentCpu();
        cpu.Attach(Memory);
        cpu.ResetForExec();
        cpu.Registers.Rip = rip;
        cpu.Registers.Rsp = StackTop - 16;
        return cpu;
    }

    public long Map(ulong address, ulong length, Protection protection) =>
        Memory.Map(new VirtualAddress(address), length, protection,
            Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_FIXED, null, 0);

    /// <summary>Runs, serving page faults, until something else happens.</summary>
    public GuestExit Run() => Run(Cpu);

    public GuestExit Run(VirtualCpu cpu)
    {
        while (true)
        {
            GuestExit exit = cpu.Run();
            Assert.True(exit.Kind != GuestExitKind.Failed, cpu.FailureDetail);
            if (exit.Kind != GuestExitKind.PageFault
                || Memory.HandleFault(exit.FaultAddress, (exit.ErrorCode & 2) != 0, (exit.ErrorCode & 16) != 0) != FaultResult.Resolved)
                return exit;
        }
    }

    public void Dispose()
    {
        Platform.ReturnCpu(Cpu);
        Memory.Release();
        Platform.Dispose();
    }
}
