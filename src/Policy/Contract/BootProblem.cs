namespace Sandbox.Policy.Contract;

/// <summary>Why a machine guest's kernel cannot be started.</summary>
public enum BootProblem : uint
{
    None = 0,

    /// <summary>Neither an ELF file nor a bzImage.</summary>
    NotAKernel,

    /// <summary>It ends before what its headers promise, or cannot be read.</summary>
    Truncated,

    /// <summary>For 32-bit or other processors.</summary>
    WrongArchitecture,

    /// <summary>An ELF file without a PVH entry (the note XEN_ELFNOTE_PHYS32_ENTRY).</summary>
    NoPvhEntry,

    /// <summary>A bzImage without the 64-bit entry: older than Linux 3.8, or not for x86-64.</summary>
    NoLinuxEntry,

    /// <summary>
    /// Headers that contradict themselves: segments that wrap or overlap, or an entry outside of them.
    /// </summary>
    BadSegments,

    /// <summary>The guest's memory does not hold it.</summary>
    KernelTooLarge,

    /// <summary>The guest's memory does not hold it beside the kernel.</summary>
    InitrdTooLarge,

    /// <summary>The kernel takes less, or none.</summary>
    CommandLineTooLong,
}
