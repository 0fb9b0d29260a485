using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Boot;
using Sandbox.Vmm.Devices.Power;
using Sandbox.Vmm.Devices.Serial;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Tests.Boot;
using Xunit;

namespace Sandbox.Vmm.Tests.Kvm;

/// <summary>Kernels of a few instructions on hardware KVM.</summary>
public sealed class VirtualMachineTests
{
    private static VirtualMachine Start(byte[] code, OutputQueue output, int cpus = 1)
    {
        string cpu = File.ReadAllText("/proc/cpuinfo");
        Assert.SkipUnless(cpu.Contains(" svm", StringComparison.Ordinal) || cpu.Contains(" vmx", StringComparison.Ordinal),
            "kernels need hardware virtualization");
        VirtualMachine machine = new(new KvmSystem(FileDescriptor.Open("/dev/kvm", Libc.O_RDWR)), 32 << 20, cpus);
        SerialPort port = new(machine.CreateLine(MachineLayout.SerialInterrupt), output);
        machine.Ports.Add(MachineLayout.SerialPort, SerialPort.Length, port);
        machine.Ports.Add(MachineLayout.PowerPort, PowerRegisters.Length, new PowerRegisters(machine.Ram, machine.Finish));
        BootOrder order = new(KernelBuilder.Elf(code), null, "", cpus, 0);
        Assert.Equal(BootProblem.None, BootLoader.Load(order, machine.Ram, machine.RamBytes, out LoadedKernel? kernel));
        BootLoader.Enter(kernel!, machine);
        return machine;
    }

    [Fact]
    public void Serving_exits_allocates_nothing()
    {
        OutputQueue output = new();
        // mov dx, 0x3f8; mov ecx, 1000; mov al, 'x'; again: out dx, al; loop again; power off
        using VirtualMachine machine = Start(
            [0x66, 0xba, 0xf8, 0x03, 0xb9, 0xe8, 0x03, 0, 0, 0xb0, 0x78, 0xee, 0xe2, 0xfd, 0x66, 0xba, 0, 6, 0xb0, 0x34, 0xee, 0xf4],
            output);
        long before = GC.GetAllocatedBytesForCurrentThread();
        machine.Vcpus[0].Run();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(MachineEnd.PoweredOff, machine.WaitForEnd(0));
        Assert.Equal(1001, machine.Vcpus[0].ExitTimes[KvmAbi.KVM_EXIT_IO].Count);
        Assert.Equal(1000, output.Take(new byte[4096]));
        // What is made once, at the first of something: far less than one object for an exit.
        Assert.InRange(allocated, 0, 8192);
    }

    [Fact]
    public void A_refused_register_raises_an_exception_and_is_counted()
    {
        // mov ecx, 0xc0010117; rdmsr: without a handler the #GP becomes a triple fault.
        using VirtualMachine machine = Start([0xb9, 0x17, 0x01, 0x01, 0xc0, 0x0f, 0x32, 0xf4], new OutputQueue());
        machine.Vcpus[0].Run();
        Assert.Equal(MachineEnd.TripleFault, machine.WaitForEnd(0));
        Assert.Equal(1, machine.Vcpus[0].RefusedMsrs);
    }

    /// <summary>The PIC is as no firmware has left it: what came through it would be an exception's vector.</summary>
    [Fact]
    public void An_interrupt_that_the_guest_has_not_asked_for_does_not_arrive()
    {
        // mov ecx, 0x400000; sti; again: loop again; cli; power off: an interrupt would be a triple fault.
        using VirtualMachine machine = Start(
            [0xb9, 0, 0, 0x40, 0, 0xfb, 0xe2, 0xfe, 0xfa, 0x66, 0xba, 0, 6, 0xb0, 0x34, 0xee, 0xf4], new OutputQueue());
        for (uint pin = MachineLayout.VirtioInterrupt; pin < MachineLayout.VirtioInterrupt + 16; pin++)
            machine.CreateLine(pin).Raise();
        machine.Vcpus[0].Run();
        Assert.Equal(MachineEnd.PoweredOff, machine.WaitForEnd(0));
    }

    [Fact]
    public void A_guest_that_sleeps_for_ever_is_called_out_on_every_processor()
    {
        // cli; hlt
        VirtualMachine machine = Start([0xfa, 0xf4, 0xeb, 0xfc], new OutputQueue(), cpus: 2);
        machine.Start();
        Assert.Equal(MachineEnd.None, machine.WaitForEnd(200));
        machine.Finish(MachineEnd.Stopped);
        Assert.Equal(MachineEnd.Stopped, machine.WaitForEnd());
        // Waits for the threads.
        machine.Dispose();
    }
}
