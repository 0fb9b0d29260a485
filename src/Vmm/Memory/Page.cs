namespace Sandbox.Vmm.Memory;

/// <summary>Page arithmetic for x86-64: 4 KiB pages, 2 MiB large pages.</summary>
public static class Page
{
    public const int Shift = 12;
    public const int Size = 1 << Shift;
    public const int LargeShift = 21;
    public const int LargeSize = 1 << LargeShift;
    public const int PerLarge = LargeSize / Size;

    /// <summary>Rounds up to a page; wraps to 0 when there is no such page, as the kernel's PAGE_ALIGN does.</summary>
    public static ulong RoundUp(ulong bytes) => unchecked(bytes + (Size - 1)) & ~(ulong)(Size - 1);

    public static ulong RoundDown(ulong value) => value & ~(ulong)(Size - 1);

    public static bool IsAligned(ulong value) => (value & (Size - 1)) == 0;
}
