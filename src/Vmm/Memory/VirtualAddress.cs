namespace Sandbox.Vmm.Memory;

/// <summary>
/// An address in one guest process. Hostile until an <see cref="AddressSpace"/> has resolved it: there is no way
/// from here to a host pointer, and arithmetic is checked.
/// </summary>
public readonly record struct VirtualAddress(ulong Value) : IComparable<VirtualAddress>
{
    public static VirtualAddress Null => default;

    public bool IsNull => Value == 0;

    public VirtualAddress PageStart => new(Value & ~(ulong)(Page.Size - 1));

    public int OffsetInPage => (int)(Value & (Page.Size - 1));

    /// <summary>False when the sum wraps.</summary>
    public bool TryAdd(ulong bytes, out VirtualAddress sum)
    {
        sum = new(unchecked(Value + bytes));
        return sum.Value >= Value;
    }

    public int CompareTo(VirtualAddress other) => Value.CompareTo(other.Value);

    public static bool operator <(VirtualAddress left, VirtualAddress right) => left.Value < right.Value;

    public static bool operator <=(VirtualAddress left, VirtualAddress right) => left.Value <= right.Value;

    public static bool operator >(VirtualAddress left, VirtualAddress right) => left.Value > right.Value;

    public static bool operator >=(VirtualAddress left, VirtualAddress right) => left.Value >= right.Value;

    public override string ToString() => $"0x{Value:x}";
}
