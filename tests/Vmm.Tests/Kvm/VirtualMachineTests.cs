using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Boot;
using Sandbox.Vmm.Devices.Power;
using Sandbox.Vmm.Devices.Serial;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Tests.Boot;
using Sandbox.Vmm.Tests.Virtio.Proof;
using Sandbox.Vmm.Virtio;
using Xunit;

namespace Sandbox.Vmm.Tests.Kvm;

/// <summary>Kernels of a few instructions on hardware KVM.</summary>
public sealed class VirtualMachineTests
{
    private static void NeedHardware()
    {
        string cpu = File.ReadAllText("/proc/cpuinfo");
        Assert.SkipUnless(cpu.Contains(" svm", StringComparison.Ordinal) || cpu.Contains(" vmx", StringComparison.Ordinal),
            "kernels need hardware virtualization");
    }

    private static VirtualMachine Start(byte[] code, OutputQueue output, int cpus = 1)
    {
        NeedHardware();
        VirtualMachine machine = new(new KvmSystem(FileDescriptor.Open("/dev/kvm", Libc.O_RDWR)), 32 << 20, cpus);
        SerialPort port = new(machine.CreateLine(MachineLayout.SerialInterrupt), output);
        machine.Ports.Add(MachineLayout.SerialPort, SerialPort.Length, port);
        machine.Ports.Add(MachineLayout.PowerPort, PowerRegisters.Length, new PowerRegisters(machine.Ram, machine.Finish));
        BootOrder order = new(KernelBuilder.Elf(code), null, "", cpus, 0);
        Assert.Equal(BootProblem.None, BootLoader.Load(order, machine.Ram, machine.RamBytes, out LoadedKernel? kernel));
        BootLoader.Enter(kernel!, machine);
        return machine;
    }

    /// <summary>
    /// A guest with all kinds of devices: what is on its buses are these, a serial port and the power registers. No floppy
    /// drive, no keyboard, and at 0xcf8 and 0xcfc no PCI, so no device with functions of its own.
    /// </summary>
    [Flaw("CVE-2015-3456")]
    [Flaw("CVE-2024-26327")]
    [Fact]
    public void On_the_buses_is_what_the_plan_names_and_nothing_else()
    {
        NeedHardware();
        FileDescriptor[] descriptors = [FileDescriptor.CreateMemory("disk", 4096)];
        GuestMachine devices = new()
        {
            Kernel = -1, Initrd = -1, CommandLine = "", Agent = false, Taps = [], Balloon = true, VirtioConsole = true,
            Vsock = -1, Random = new GuestRandom { BytesPerSecond = 0 },
            Disks = [new GuestDisk { Descriptor = 0, Writable = true, BytesPerSecond = 0 }],
        };
        using VirtualMachine machine = new(new KvmSystem(FileDescriptor.Open("/dev/kvm", Libc.O_RDWR)), 32 << 20, 1);
        MachineSession session = new(Plan(devices), machine, descriptors, [[]], _ => true);
        Assert.Equal(["virtio-blk", "virtio-rng", "virtio-balloon", "virtio-console"],
            session.Devices.Select(each => each.Name));
        (ulong, ulong)[] ports =
            [(MachineLayout.SerialPort, SerialPort.Length), (MachineLayout.PowerPort, PowerRegisters.Length)];
        Assert.Equal(ports, machine.Ports.Taken);
        Assert.Equal(
            Enumerable.Range(0, 4).Select(number => (MachineLayout.VirtioAddress(number), MmioTransport.Length)),
            machine.Registers.Taken);
        byte[] data = new byte[4];
        foreach (ulong port in (ulong[])[0x3f0, 0x3f5, 0x60, 0x64, 0xcf8, 0xcfc])
        {
            machine.Ports.Write(port, data);
            machine.Ports.Read(port, data);
            Assert.Equal([0xff, 0xff, 0xff, 0xff], data);
        }
        Assert.Equal((6, 6), (machine.Ports.StrayReads, machine.Ports.StrayWrites));
        foreach (VirtioDevice device in session.Devices)
            device.Dispose();
    }

    private static LaunchPlan Plan(GuestMachine machine) => new()
    {
        Version = LaunchPlan.CurrentVersion, Arguments = [], Environment = [], WorkingDirectory = "/", Hostname = "guest",
        User = new GuestUser { Name = "root", Uid = 0, Gid = 0, Home = "/" },
        Limits = new GuestLimits
        {
            MemoryBytes = 32 << 20, Cpus = 1, WallMilliseconds = 0, CpuMilliseconds = 0, Processes = 1, OutputBytes = 0,
            TmpBytes = 0, OpenFiles = 0,
        },
        Files = [], Machine = machine, Handoff = false, StartedAtNanoseconds = 0,
        Streams = new GuestStreams { Stdin = -1, Stdout = -1, Stderr = -1, Terminal = false, Result = -1, Trace = -1 },
    };

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
