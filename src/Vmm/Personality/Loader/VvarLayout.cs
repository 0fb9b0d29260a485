namespace Sandbox.Vmm.Personality.Loader;

/// <summary>
/// The vDSO's data page: what its code reads, at byte offsets. Compiled into the VMM, which writes the page, and into
/// the program that assembles the code, so that both have one truth.
/// </summary>
/// <remarks>The page lies directly below the vDSO image. Every member is written between two increments of the
/// sequence, which is odd while a write is under way.</remarks>
static class VvarLayout
{
    /// <summary>Bytes from the page's first to the image's first.</summary>
    public const int DistanceToImage = 4096;

    /// <summary>uint: odd while being written.</summary>
    public const int Sequence = 0x00;

    /// <summary>uint: <see cref="ModeSystemCall"/> or <see cref="ModeTsc"/>.</summary>
    public const int ClockMode = 0x04;

    /// <summary>ulong: the time-stamp counter when the base times were true.</summary>
    public const int CycleLast = 0x08;

    /// <summary>ulong: nanoseconds a cycle, times 2^shift.</summary>
    public const int Multiplier = 0x10;

    /// <summary>uint: 0 to 63.</summary>
    public const int Shift = 0x18;

    /// <summary>uint: <see cref="CpuSystemCall"/>, <see cref="CpuAlwaysZero"/> or <see cref="CpuFromSegment"/>.</summary>
    public const int CpuMode = 0x1c;

    /// <summary>uint: CPU numbers are below this; not 0.</summary>
    public const int CpuCount = 0x20;

    /// <summary>For each clock id: long seconds, long nanoseconds (0 to 999,999,999).</summary>
    public const int BaseTimes = 0x40;

    public const int BaseTimeSize = 16;

    public const int ClockCount = 8;

    public const int End = BaseTimes + ClockCount * BaseTimeSize;

    /// <summary>
    /// Clock ids answered without a system call, as a bit set: REALTIME 0, MONOTONIC 1, REALTIME_COARSE 5,
    /// MONOTONIC_COARSE 6, BOOTTIME 7. The coarse ones are as fine as the others, which nobody can object to.
    /// </summary>
    public const uint ServedClocks = 1u << 0 | 1u << 1 | 1u << 5 | 1u << 6 | 1u << 7;

    /// <summary>Every clock is a system call.</summary>
    public const uint ModeSystemCall = 0;

    public const uint ModeTsc = 1;

    public const uint CpuSystemCall = 0;

    /// <summary>A guest with one CPU.</summary>
    public const uint CpuAlwaysZero = 1;

    /// <summary>
    /// The limit of <see cref="CpuSegment"/> holds the CPU number in its low 12 bits. Where the descriptor tables in
    /// force have no such segment, LSL says so and a system call answers.
    /// </summary>
    public const uint CpuFromSegment = 2;

    /// <summary>
    /// Linux's own segment for this purpose (__CPUNODE_SEG). On paravirtual KVM programs run with the host's descriptor
    /// tables, so that it tells on which host CPU the thread runs, which is also what getcpu(2) answers.
    /// </summary>
    public const int CpuSegment = 0x7b;
}
