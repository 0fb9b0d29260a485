namespace Sandbox.Policy.Contract;

/// <summary>How an argument is compared with a value; always unsigned.</summary>
public enum Comparison
{
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// <summary>A condition on one argument register.</summary>
/// <param name="Argument">0 to 5.</param>
/// <param name="Mask">Bits that are compared. A condition on an int has a mask of 32 bits.</param>
public readonly record struct ArgumentCondition(int Argument, ulong Mask, Comparison Comparison, ulong Value)
{
    public bool Holds(ulong argument)
    {
        ulong bits = argument & Mask;
        return Comparison switch
        {
            Comparison.Equal => bits == Value,
            Comparison.NotEqual => bits != Value,
            Comparison.Less => bits < Value,
            Comparison.LessOrEqual => bits <= Value,
            Comparison.Greater => bits > Value,
            _ => bits >= Value,
        };
    }
}
