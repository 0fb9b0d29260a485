using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Machine;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Virtio;

namespace Sandbox.Vmm.Boot;

/// <summary>What a machine guest is started from.</summary>
/// <param name="Initrd">Null for none.</param>
/// <param name="CommandLine">The kernel's; ASCII without NUL.</param>
/// <param name="Cpus">Processors, for the tables.</param>
/// <param name="VirtioDevices">Devices in the layout's places, for the tables.</param>
sealed record BootOrder(IBootFile Kernel, IBootFile? Initrd, string CommandLine, int Cpus, int VirtioDevices);

/// <summary>
/// Puts a kernel and all that it is told into a guest's RAM: a bzImage by the 64-bit Linux boot protocol, an ELF file
/// by PVH. Every file is hostile: nothing is believed that has not been checked, and nothing is written outside of RAM.
/// </summary>
static class BootLoader
{
    /// <param name="kernel">Where to begin, and how: with a setup header it is Linux's protocol, without PVH.</param>
    public static BootProblem Load(
        BootOrder order, GuestRam ram, (ulong Low, ulong High) ramBytes, out LoadedKernel? kernel)
    {
        Span<byte> magic = stackalloc byte[4];
        BootProblem problem;
        kernel = null;
        if (!order.Kernel.TryRead(0, magic))
            return BootProblem.NotAKernel;
        if (magic.SequenceEqual(ElfKernel.Magic))
            problem = ElfKernel.Load(order.Kernel, ram, out kernel);
        else if (LinuxKernel.IsOne(order.Kernel))
            problem = LinuxKernel.Load(order.Kernel, ram, out kernel);
        else
            return BootProblem.NotAKernel;
        if (problem != BootProblem.None)
            return problem;

        if (order.CommandLine.Length > kernel!.MaximumCommandLine)
            return BootProblem.CommandLineTooLong;
        problem = LoadInitrd(order.Initrd, ram, ramBytes.Low, kernel, out ulong initrd, out ulong initrdSize);
        if (problem != BootProblem.None)
            return problem;

        EntryState.Write(ram, MachineLayout.CommandLineAddress, [.. Encoding.ASCII.GetBytes(order.CommandLine), 0]);
        EntryState.Write(ram, MachineLayout.AcpiAddress,
            AcpiTables.Build(MachineLayout.AcpiAddress, order.Cpus, order.VirtioDevices));
        (ulong, ulong, uint)[] map = MemoryMap.Of(ramBytes.Low, ramBytes.High);
        if (kernel.SetupHeader is null)
            EntryState.Write(ram, MachineLayout.StartInfoAddress, StartInfo.Build(map, initrd, initrdSize));
        else
            EntryState.Write(
                ram, MachineLayout.BootParametersAddress, BootParameters.Build(kernel, map, initrd, initrdSize));
        return BootProblem.None;
    }

    /// <summary>Points the first vCPU at a kernel that <see cref="Load"/> has put into its RAM.</summary>
    public static void Enter(LoadedKernel kernel, VirtualMachine machine)
    {
        if (kernel.SetupHeader is null)
            EntryState.EnterPvh(machine.Vcpus[0], machine.Ram, kernel.Entry);
        else
            EntryState.EnterLinux(machine.Vcpus[0], machine.Ram, kernel.Entry);
    }

    /// <summary>As high below 4 GiB as RAM and the kernel allow, where it is least in the way.</summary>
    private static BootProblem LoadInitrd(
        IBootFile? file, GuestRam ram, ulong lowRam, LoadedKernel kernel, out ulong address, out ulong size)
    {
        size = file?.Length ?? 0;
        address = 0;
        if (size == 0)
            return BootProblem.None;
        ulong end = Math.Min(lowRam, (ulong)kernel.LastInitrdByte + 1);
        if (size > end)
            return BootProblem.InitrdTooLarge;
        address = Page.RoundDown(end - size);
        if (address < kernel.End)
            return BootProblem.InitrdTooLarge;
        return RamCopy.TryLoad(file!, 0, ram, address, size) ? BootProblem.None : BootProblem.Truncated;
    }
}
