using System.Runtime.InteropServices;

namespace Sandbox.Policy.Language;

/// <summary>Lists of numbers as keys: equal when they hold the same.</summary>
sealed class NumbersComparer : IEqualityComparer<int[]>
{
    public static NumbersComparer Instance { get; } = new();

    public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

    public int GetHashCode(int[] numbers)
    {
        var hash = new HashCode();
        hash.AddBytes(MemoryMarshal.AsBytes(numbers.AsSpan()));
        return hash.ToHashCode();
    }
}
