namespace Sandbox.Vmm.Memory;

/// <summary>A guest-physical address: what page tables hold and memory slots translate to host memory.</summary>
public readonly record struct PhysicalAddress(ulong Value)
{
    /// <summary>No page. Guest-physical page 0 is never handed out.</summary>
    public static PhysicalAddress None => default;

    public bool IsNone => Value == 0;

    public override string ToString() => $"gpa:0x{Value:x}";
}
