using static Sandbox.Host.Libc;

namespace Sandbox.Filters;

/// <summary>What one argument of a call must be: one of some values, in the bits of a mask.</summary>
/// <param name="Argument">0 to 5.</param>
sealed record Condition(uint Argument, ulong Mask, params ulong[] Values)
{
    /// <summary>
    /// Stands for the VMM's own process number, which is known when the filter is put on: the VMM writes it wherever an
    /// instruction compares with this.
    /// </summary>
    public const uint OwnPid = 0x7e57_91d5;

    /// <summary>An int or unsigned int, of which the kernel sees no more than 32 bits.</summary>
    public static Condition Int(uint argument, params ulong[] values) => new(argument, uint.MaxValue, values);

    /// <summary>All 64 bits.</summary>
    public static Condition Long(uint argument, params ulong[] values) => new(argument, ulong.MaxValue, values);

    /// <summary>A null pointer.</summary>
    public static Condition Null(uint argument) => Long(argument, 0);

    /// <summary>No bit but these.</summary>
    public static Condition Only(uint argument, ulong bits) => new(argument, ~bits, 0);

    /// <summary>Any bits but these.</summary>
    public static Condition Without(uint argument, ulong bits) => new(argument, bits, 0);

    /// <summary>The VMM itself.</summary>
    public static Condition Self(uint argument) => Int(argument, OwnPid);

    /// <summary>Memory that can be read or written, or neither: never executed.</summary>
    public static Condition NotExecutable(uint argument) => Only(argument, PROT_READ | PROT_WRITE);
}
