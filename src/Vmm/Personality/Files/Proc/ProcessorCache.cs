using System.Runtime.Intrinsics.X86;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>One of the processor's caches, as deterministic cache parameters (CPUID leaf 4 or 0x8000001D) tell.</summary>
readonly record struct ProcessorCache(int Index, int Level, string Type, long Bytes, int LineSize, int Ways, int Sets)
{
    private const int MaximumCaches = 8;

    public static IReadOnlyList<ProcessorCache> All { get; } = Enumerate();

    private static List<ProcessorCache> Enumerate()
    {
        List<ProcessorCache> caches = [];
        if (!X86Base.IsSupported)
            return caches;
        bool isAmd = X86Base.CpuId(0, 0).Ebx == 0x68747541;
        uint leaf = isAmd ? 0x8000001D : 4;
        uint highest = (uint)X86Base.CpuId(unchecked((int)(leaf & 0x80000000)), 0).Eax;
        if (highest < leaf)
            return caches;
        for (int i = 0; i < MaximumCaches; i++)
        {
            (int eax, int ebx, int ecx, _) = X86Base.CpuId(unchecked((int)leaf), i);
            string? type = (eax & 31) switch { 1 => "Data", 2 => "Instruction", 3 => "Unified", _ => null };
            if (type is null)
                break;
            int ways = (int)((uint)ebx >> 22) + 1, partitions = (ebx >> 12 & 0x3ff) + 1, line = (ebx & 0xfff) + 1;
            int sets = ecx + 1;
            caches.Add(new(i, eax >> 5 & 7, type, (long)ways * partitions * line * sets, line, ways, sets));
        }
        return caches;
    }
}
