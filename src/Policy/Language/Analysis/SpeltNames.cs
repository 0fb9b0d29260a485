namespace Sandbox.Policy.Language;

/// <summary>The names that rules spell out, sorted, so that those with a common beginning stand together.</summary>
sealed class SpeltNames
{
    readonly byte[][] _names;

    public SpeltNames(IEnumerable<byte[]> names)
    {
        _names = [.. names];
        Array.Sort(_names, static (a, b) => a.AsSpan().SequenceCompareTo(b));
    }

    /// <summary>The names that begin alike.</summary>
    /// <param name="Length">Bytes of that beginning; 0 also when there are none.</param>
    public readonly record struct Range(int First, int End, int Length);

    public Range All => new(0, _names.Length, 0);

    /// <summary>Whether the beginning is itself a name.</summary>
    public bool IsEnd(Range range) => range.First < range.End && _names[range.First].Length == range.Length;

    /// <summary>The names that go on with a byte.</summary>
    public Range Step(Range range, byte b)
    {
        int first = Bound(range, b), end = b == byte.MaxValue ? range.End : Bound(range, b + 1);
        return first < end ? new Range(first, end, range.Length + 1) : default;
    }

    /// <summary>The bytes that names go on with.</summary>
    public byte[] Next(Range range)
    {
        var next = new List<byte>();
        int at = range.First + (IsEnd(range) ? 1 : 0);
        while (at < range.End)
        {
            byte b = _names[at][range.Length];
            next.Add(b);
            at = Step(range, b).End;
        }

        return [.. next];
    }

    /// <summary>The first name that goes on with a byte or a higher one.</summary>
    int Bound(Range range, int b)
    {
        int low = range.First, high = range.End;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_names[middle].Length > range.Length && _names[middle][range.Length] >= b)
                high = middle;
            else
                low = middle + 1;
        }

        return low;
    }
}
