using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Platforms.Kvm;

/// <summary>
/// Where ring 0 lies in the upper half of every address space, and its numbers. The same on every host.
/// <code>
///   +0x0000  IDT                                          supervisor, read and write (the processor reads it)
///   +0x1000  exception stubs and the edit routine         supervisor, execute
///   +0x2000  system-call gate                             execute; user where SYSCALL stays at CPL 3
///   +0x3000  the same page once more, for the probe       user, execute; gone before guest code runs
///            (the page itself holds the hand-off gate)    mapped elsewhere only: see ExchangeBase
///   +0x4000  one page per vCPU: GDT, TSS, edit list, stack   supervisor, read and write
///   +1 GiB   the page-table pages, linear                 supervisor, read and write
/// </code>
/// </summary>
static class Ring0Layout
{
    /// <summary>Guest-physical address of the first page.</summary>
    public const ulong PhysicalBase = 0x10_0000;

    /// <summary>PML4 entry 511: shared by all address spaces.</summary>
    public const ulong VirtualBase = 0xffff_ff80_0000_0000;

    public const ulong TablesBase = VirtualBase + (1UL << 30);

    public const int IdtOffset = 0x0000;
    public const int CodeOffset = 0x1000;
    public const int GateOffset = 0x2000;
    public const int ProbeOffset = 0x3000;
    public const int HandoffOffset = 0x3000;
    public const int VcpuOffset = 0x4000;

    public const int MaximumVcpus = 1024;

    public const ulong Size = VcpuOffset + ((ulong)MaximumVcpus * Page.Size);

    /// <summary>
    /// PML4 entry 510, each address space's own: for a vCPU whose calls are handed over, the hand-off gate (user,
    /// execute) and behind it the page that the program's gate and the VMM share (user, read and write).
    /// </summary>
    public const ulong ExchangeBase = 0xffff_ff00_0000_0000;

    /// <summary>Bytes for each vCPU.</summary>
    public const ulong ExchangeSize = 2 * Page.Size;

    // Within a vCPU's page.
    public const int GdtOffset = 0x000;
    public const int TssOffset = 0x080;
    public const int EditListOffset = 0x200;
    public const int EditListRuns = 64;

    /// <summary>Top of the stack that every exception uses; the interrupt frame lies right below.</summary>
    public const int StackTop = 0xff0;

    // Selectors in Linux's order, so that programs that look see what they know.
    public const ushort KernelCode = 0x10;
    public const ushort KernelData = 0x18;
    public const ushort UserCode32 = 0x20 | 3;
    public const ushort UserData = 0x28 | 3;
    public const ushort UserCode = 0x30 | 3;
    public const ushort TaskState = 0x40;
    public const int GdtLimit = 0x4f;

    public const int TssSize = 104;

    /// <summary>
    /// The I/O bitmap covers the ports that exist here, and ends with the byte of ones that must follow it.
    /// </summary>
    public const int TssLimit = TssSize + (0x100 / 8);
}
