namespace Sandbox.Vmm.Memory;

/// <summary>An x86-64 page-table entry (Intel SDM volume 3, 4.5; AMD APM volume 2, 5.3).</summary>
public readonly record struct PageTableEntry(ulong Value)
{
    public const ulong PresentBit = 1 << 0;
    public const ulong WritableBit = 1 << 1;
    public const ulong UserBit = 1 << 2;
    public const ulong AccessedBit = 1 << 5;
    public const ulong DirtyBit = 1 << 6;
    public const ulong LargeBit = 1 << 7;
    public const ulong NoExecuteBit = 1UL << 63;

    /// <summary>
    /// Ignored by the processor. Set in an entry that is not present but still owns its page: PROT_NONE memory keeps
    /// its content.
    /// </summary>
    public const ulong ParkedBit = 1 << 9;

    private const ulong AddressMask = 0x000f_ffff_ffff_f000;

    public bool IsPresent => (Value & PresentBit) != 0;

    /// <summary>Present or parked: the entry owns a page.</summary>
    public bool IsOccupied => (Value & (PresentBit | ParkedBit)) != 0;

    public bool IsWritable => (Value & WritableBit) != 0;

    public bool IsLarge => (Value & LargeBit) != 0;

    public bool IsExecutable => (Value & NoExecuteBit) == 0;

    public PhysicalAddress Address => new(Value & AddressMask);

    /// <summary>
    /// A leaf for user pages. Accessed and dirty are preset: nothing reads them, and the processor then never has to
    /// write to the tables itself.
    /// </summary>
    public static PageTableEntry User(PhysicalAddress page, Protection protection, bool large = false) =>
        Leaf(page, protection, large, UserBit);

    public static PageTableEntry Parked(PhysicalAddress page) => new(page.Value | ParkedBit);

    public static PageTableEntry Supervisor(PhysicalAddress page, Protection protection, bool large = false) =>
        Leaf(page, protection, large, 0);

    /// <summary>A link to a lower table: permissive, leaves decide.</summary>
    public static PageTableEntry Table(PhysicalAddress table) =>
        new(table.Value | PresentBit | WritableBit | UserBit | AccessedBit);

    private static PageTableEntry Leaf(PhysicalAddress page, Protection protection, bool large, ulong privilege) =>
        new(page.Value | PresentBit | AccessedBit | DirtyBit | privilege
            | ((protection & Protection.Write) != 0 ? WritableBit : 0)
            | ((protection & Protection.Execute) != 0 ? 0 : NoExecuteBit)
            | (large ? LargeBit : 0));
}
