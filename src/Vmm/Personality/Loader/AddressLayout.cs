using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>
/// Where the parts of a new program go in its address space: the picture of x86-64 Linux, from the bottom up.
/// </summary>
/// <remarks>
/// <code>
/// 0x0000_0000_0001_0000  nothing is mapped below (vm.mmap_min_addr)
///          ...           ET_EXEC images at the addresses they ask for, brk behind them
/// 0x0000_5555_5555_4000  position-independent programs, plus up to 1 TiB of randomness; brk behind them
///          ...           free; mmap(2) fills it from the top downwards
/// MapTop                 vDSO, its data page, then interpreter and libraries, all below
///          ...           room for the stack to grow, at least 128 MiB
/// StackTop               the initial stack, below; up to 16 GiB of randomness above
/// 0x0000_7fff_ffff_f000  UserEnd: the last page below the canonical hole is never mapped
/// </code>
/// Sources: arch/x86/include/asm/{elf,processor,page_64_types}.h and arch/x86/mm/mmap.c for the widths of the random
/// parts, Documentation/arch/x86/x86_64/mm.rst for the picture.
/// </remarks>
public readonly struct AddressLayout
{
    /// <summary>No program may map anything below: vm.mmap_min_addr.</summary>
    public const ulong UserStart = AddressSpace.LowestAddress;

    /// <summary>The end of what programs may map: TASK_SIZE_MAX.</summary>
    public const ulong UserEnd = PageTable.UserLimit;

    /// <summary>Two thirds of the address space: ELF_ET_DYN_BASE.</summary>
    public const ulong PositionIndependentBase = 0x5555_5555_4000;

    /// <summary>An image may span this much from its first to its last byte.</summary>
    public const ulong MaximumImageSpan = 1UL << 40;

    /// <summary>The stack may always grow this far before it meets mappings.</summary>
    public const ulong MinimumStackGap = 128UL << 20;

    /// <summary>Free below the stack's limit, so that an overrun faults instead of reaching a mapping.</summary>
    public const ulong StackGuardGap = 256UL * Page.Size;

    /// <summary>What of the stack is mapped from the start beside the arguments; it grows on demand.</summary>
    public const ulong InitialStackRoom = 128UL << 10;

    private const int MapRandomBits = 28;
    private const int StackRandomBits = 22;
    private const int BreakRandomBits = 13;

    private readonly ulong _breakRandom;

    /// <summary>The end of the initial stack.</summary>
    public ulong StackTop { get; }

    /// <summary>Mappings that ask for no address are placed downwards from here.</summary>
    public ulong MapTop { get; }

    /// <summary>Where the first segment of a position-independent program goes.</summary>
    public ulong ProgramBase { get; }

    /// <param name="stackLimit">RLIMIT_STACK's soft limit in bytes; decides the gap below the stack.</param>
    public AddressLayout(EntropySource entropy, ulong stackLimit)
    {
        StackTop = UserEnd - (entropy.NextBits(StackRandomBits) << Page.Shift);
        const ulong stackRandomness = 1UL << (StackRandomBits + Page.Shift);
        ulong gap = Math.Clamp(stackLimit, MinimumStackGap, UserEnd / 6 * 5);
        gap = Page.RoundUp(gap + stackRandomness + StackGuardGap);
        MapTop = UserEnd - gap - (entropy.NextBits(MapRandomBits) << Page.Shift);
        ProgramBase = PositionIndependentBase + (entropy.NextBits(MapRandomBits) << Page.Shift);
        _breakRandom = entropy.NextBits(BreakRandomBits) << Page.Shift;
    }

    /// <summary>Where brk(2) starts for an image that ends there: up to 32 MiB of randomness behind it.</summary>
    public ulong BreakStart(ulong imageEnd) => Page.RoundUp(imageEnd) + _breakRandom;
}
