namespace Sandbox.Fuzz;

/// <summary>
/// One handler of hostile input, wrapped so that any bytes can be thrown at it. Whatever escapes
/// <see cref="Run"/> as an exception is a finding.
/// </summary>
public abstract class FuzzTarget
{
    /// <summary>What <c>fuzz/run</c> is told, and the corpus's directory.</summary>
    public abstract string Name { get; }

    public abstract string Summary { get; }

    /// <summary>Longer inputs are not tried.</summary>
    public virtual int MaximumLength => 64 * 1024;

    /// <summary>Inputs are records of this length, which mutations mostly leave whole.</summary>
    public virtual int RecordLength => 1;

    /// <summary>Managed bytes that one input may cost; more is a finding.</summary>
    public virtual long AllocationLimit => 16 << 20;

    /// <summary>Bytes of the last input's allocation that a slow oracle made, not the handler.</summary>
    public virtual long OracleAllocation => 0;

    /// <summary>Byte strings that mean something to the handler.</summary>
    public virtual IReadOnlyList<byte[]> Dictionary => [];

    /// <summary>
    /// What the inputs of this process reached, for <c>fuzz/run TARGET --report</c>; null when there is nothing to say.
    /// </summary>
    public virtual string? Report() => null;

    /// <summary>Inputs to start from, which are written to the corpus by <c>fuzz/run TARGET --seed-corpus</c>.</summary>
    public abstract IEnumerable<(string Name, byte[] Input)> Seeds();

    /// <summary>Handles one input and checks what came out of it.</summary>
    /// <returns>Whether the input got past the handler's first checks: the seeds must.</returns>
    public abstract bool Run(ReadOnlySpan<byte> input);
}

/// <summary>The handler accepted, refused or computed something else than the independent check says.</summary>
public sealed class OracleException(string message) : Exception(message)
{
    public static void Check(bool holds, string message)
    {
        if (!holds)
            throw new OracleException(message);
    }
}
