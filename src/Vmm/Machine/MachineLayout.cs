namespace Sandbox.Vmm.Machine;

/// <summary>
/// Where things are in a machine guest: guest-physical memory, I/O ports and interrupts. RAM is at 0, up to
/// <see cref="HoleStart"/>, and goes on at <see cref="HighRamStart"/>; registers are in the hole between.
/// </summary>
public static class MachineLayout
{
    /// <summary>Where RAM below 4 GiB ends at the latest: 3 GiB.</summary>
    public const ulong HoleStart = 3UL << 30;

    /// <summary>Where RAM that the hole displaced goes on: 4 GiB.</summary>
    public const ulong HighRamStart = 4UL << 30;

    /// <summary>Less holds no kernel and its start.</summary>
    public const ulong MinimumRam = 16UL << 20;

    public const int MaximumVcpus = 16;

    // ---- Below 1 MiB: what the loader leaves for the kernel, which has copied it when it reuses the memory. ----

    /// <summary>The descriptors that the first vCPU starts with.</summary>
    public const ulong GdtAddress = 0x500;

    /// <summary>struct hvm_start_info, its modules and memory map (PVH).</summary>
    public const ulong StartInfoAddress = 0x6000;

    /// <summary>struct boot_params, a page (Linux boot protocol).</summary>
    public const ulong BootParametersAddress = 0x7000;

    /// <summary>Six pages: an identity map of the first 4 GiB.</summary>
    public const ulong PageTablesAddress = 0x9000;

    /// <summary>The kernel's command line, with its NUL.</summary>
    public const ulong CommandLineAddress = 0x2_0000;

    /// <summary>Bytes of a command line without its NUL: COMMAND_LINE_SIZE of x86 less one.</summary>
    public const int MaximumCommandLine = 2047;

    /// <summary>Where usable memory below 1 MiB ends: what a PC keeps for its firmware and adapters follows.</summary>
    public const ulong LowRamEnd = 0x9_fc00;

    /// <summary>ACPI tables, in the area that kernels search for the RSDP.</summary>
    public const ulong AcpiAddress = 0xe_0000;

    public const ulong AcpiEnd = 0x10_0000;

    /// <summary>Kernels are loaded from here on.</summary>
    public const ulong KernelStart = 0x10_0000;

    // ---- The hole ----

    /// <summary>Registers of virtio device n are at n pages from here.</summary>
    public const ulong VirtioStart = 0xd000_0000;

    /// <summary>Bytes from one virtio device's registers to the next one's.</summary>
    public const ulong VirtioStride = 0x1000;

    /// <summary>Devices with interrupts of their own, up to the last pin of the I/O APIC.</summary>
    public const int MaximumVirtioDevices = 16;

    /// <summary>
    /// Queues of a disk at most. Each has a thread: four keep a disk of the host busy, and sixteen disks' are few enough.
    /// </summary>
    public const int MaximumDiskQueues = 4;

    public const ulong IoApicAddress = 0xfec0_0000;

    public const ulong LocalApicAddress = 0xfee0_0000;

    /// <summary>A page and three that KVM uses on Intel's processors (KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_TSS_ADDR).</summary>
    public const ulong IdentityMapAddress = 0xfffb_c000;

    public const ulong TssAddress = 0xfffb_d000;

    // ---- Ports ----

    /// <summary>ACPI's sleep control and status registers and the reset register, a byte each.</summary>
    public const ushort PowerPort = 0x600;

    /// <summary>The first serial port, eight registers.</summary>
    public const ushort SerialPort = 0x3f8;

    // ---- Interrupts: pins of the I/O APIC ----

    public const uint SerialInterrupt = 4;

    /// <summary>Of virtio device 0; the others follow.</summary>
    public const uint VirtioInterrupt = 5;

    /// <summary>One for each vCPU, so that none waits for another's requests, up to the limit.</summary>
    public static int DiskQueues(int vcpus) => Math.Min(vcpus, MaximumDiskQueues);

    public static ulong VirtioAddress(int device) => VirtioStart + ((ulong)device * VirtioStride);
}
