namespace Sandbox.Policy.Language;

/// <summary>The names that rules spell out, sorted, so that those which begin alike stand together.</summary>
sealed class SpeltNames
{
    readonly byte[][] _names;

    public SpeltNames(byte[][] names)
    {
        _names = names;
        Array.Sort(_names, static (a, b) => a.AsSpan().SequenceCompareTo(b));
    }

    /// <summary>The names that begin with some bytes; the default when none does.</summary>
    /// <param name="Length">Of those bytes.</param>
    public readonly record struct Prefix(int First, int End, int Length);

    public Prefix All => new(0, _names.Length, 0);

    /// <summary>Whether what the prefix stands for is itself one of the names.</summary>
    public bool IsWhole(Prefix prefix) => prefix.First < prefix.End && _names[prefix.First].Length == prefix.Length;

    /// <summary>The names that go on with a byte.</summary>
    public Prefix Then(Prefix prefix, byte next)
    {
        int first = Lowest(prefix, next), end = Lowest(prefix with { First = first }, next + 1);
        return first < end ? new Prefix(first, end, prefix.Length + 1) : default;
    }

    /// <summary>The first name whose byte behind the prefix is not below a bound; a name that ends there comes before all.</summary>
    int Lowest(Prefix prefix, int bound)
    {
        int low = prefix.First, high = prefix.End;
        while (low < high)
        {
            int middle = (low + high) / 2;
            byte[] name = _names[middle];
            if (name.Length == prefix.Length || name[prefix.Length] < bound)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    public HashSet<byte> Bytes() => [.. _names.SelectMany(name => name)];
}
