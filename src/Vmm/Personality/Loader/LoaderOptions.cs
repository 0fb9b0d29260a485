using System.Runtime.Intrinsics.X86;

namespace Sandbox.Vmm.Personality.Loader;

/// <summary>What the platform and the operator decide about every program that is loaded.</summary>
public sealed record LoaderOptions
{
    /// <summary>Fixes all randomness, for tests and reproductions; null asks the host's generator.</summary>
    public ulong? Seed { get; init; }

    /// <summary>AT_HWCAP: CPUID leaf 1, EDX, which programs see unchanged.</summary>
    public ulong HardwareCapabilities { get; init; } = (uint)X86Base.CpuId(1, 0).Edx;

    /// <summary>AT_HWCAP2: bit 1 says that programs may use RDFSBASE and its relatives.</summary>
    public ulong HardwareCapabilities2 { get; init; } = 2;

    /// <summary>
    /// AT_MINSIGSTKSZ in bytes: the largest signal frame, rounded as Linux does (arch/x86/kernel/signal.c).
    /// </summary>
    public ulong MinimumSignalStack { get; init; } = SignalFrameSize();

    internal EntropySource CreateEntropy() => Seed is { } seed ? new SeededEntropy(seed) : new HostEntropy();

    private static ulong SignalFrameSize()
    {
        const ulong frame = 440, padding = 63 + 15, magic = 4, legacyState = 512 + 64;
        const int extendedStateLeaf = 0xd;
        // EBX: bytes of the standard format for what XCR0 enables now.
        bool hasLeaf = X86Base.CpuId(0, 0).Eax >= extendedStateLeaf;
        ulong state = hasLeaf ? (uint)X86Base.CpuId(extendedStateLeaf, 0).Ebx : legacyState;
        return (frame + padding + Math.Max(state, legacyState) + magic + 15) & ~15UL;
    }
}
