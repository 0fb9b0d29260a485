using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Functions of the bits of a call's arguments, as reduced ordered decision diagrams with one store of nodes (Bryant,
/// "Graph-Based Algorithms for Boolean Function Manipulation", 1986): the same function is always the same number, and
/// each way down to an end is taken by some arguments. Bits come in the order of the arguments, the highest first.
/// </summary>
/// <remarks>Numbers from 0 are nodes; below are ends, of which <see cref="End"/> makes the one for a value.</remarks>
sealed class DecisionDiagram
{
    const int MaximumNodes = 150_000;

    /// <summary>Pairs of nodes that are combined: half a second of them.</summary>
    const int MaximumSteps = 8_000_000;

    /// <summary>Pairs of nodes that are walked through.</summary>
    const int MaximumPairs = 500_000;

    const int BitsPerArgument = 64;

    /// <summary>Of what has been combined already, so much is remembered.</summary>
    const int CacheSize = 1 << 15;

    readonly record struct Node(int Level, int Low, int High);

    readonly record struct Combined(int One, int Other, int Operation, int Result);

    readonly List<Node> _nodes = [];
    readonly Dictionary<Node, int> _numbers = [];
    readonly Combined[] _cache = new Combined[CacheSize];
    int _operation;
    int _steps;
    int _pairs;

    /// <summary>A bound was reached: whatever has been returned since then means nothing.</summary>
    public bool IsTooLarge { get; private set; }

    public static int False { get; } = End(0);

    public static int True { get; } = End(1);

    /// <param name="value">From 0.</param>
    public static int End(int value) => -1 - value;

    public static bool IsEnd(int diagram, out int value)
    {
        value = -1 - diagram;
        return diagram < 0;
    }

    /// <summary>Where the arguments' bits are such that the condition holds.</summary>
    public int Of(ArgumentCondition condition)
    {
        static int Where(bool holds) => holds ? True : False;
        Comparison by = condition.Comparison;
        int less = Where(by is Comparison.Less or Comparison.LessOrEqual or Comparison.NotEqual);
        int greater = Where(by is Comparison.Greater or Comparison.GreaterOrEqual or Comparison.NotEqual);
        int equal = Where(by is Comparison.Equal or Comparison.LessOrEqual or Comparison.GreaterOrEqual);
        // From the lowest bit up: what holds when all higher bits are equal.
        int below = equal;
        for (int bit = 0; bit < BitsPerArgument; bit++)
        {
            bool wanted = (condition.Value >> bit & 1) != 0;
            int level = LevelOf(condition.Argument, bit);
            if ((condition.Mask >> bit & 1) != 0)
                below = wanted ? Make(level, less, below) : Make(level, below, greater);
            else if (wanted)
                below = less;
        }

        return below;
    }

    /// <summary>Where both hold.</summary>
    public int And(int one, int other)
    {
        _operation++;
        return Combine(one, other, isAnd: true, End(0));
    }

    /// <summary>An end where a condition holds, and elsewhere what there was.</summary>
    public int Override(int condition, int end, int otherwise)
    {
        _operation++;
        return Combine(condition, otherwise, isAnd: false, end);
    }

    static int LevelOf(int argument, int bit) => BitsPerArgument * argument + BitsPerArgument - 1 - bit;

    int Combine(int condition, int other, bool isAnd, int end)
    {
        if (condition < 0 || other == end)
            return condition == False ? (isAnd ? False : other) : isAnd ? other : end;
        if (isAnd && other == True)
            return condition;
        if (IsTooLarge || ++_steps > MaximumSteps)
        {
            IsTooLarge = true;
            return end;
        }

        ref Combined known = ref _cache[(uint)HashCode.Combine(condition, other, _operation) % CacheSize];
        if (known.Operation == _operation && known.One == condition && known.Other == other)
            return known.Result;
        Node a = At(condition), b = At(other);
        int level = Math.Min(a.Level, b.Level);
        int low = Combine(a.Level == level ? a.Low : condition, b.Level == level ? b.Low : other, isAnd, end);
        int high = Combine(a.Level == level ? a.High : condition, b.Level == level ? b.High : other, isAnd, end);
        int result = Make(level, low, high);
        known = new Combined(condition, other, _operation, result);
        return result;
    }

    /// <summary>An end lies below all nodes.</summary>
    Node At(int diagram) => diagram < 0 ? new Node(int.MaxValue, diagram, diagram) : _nodes[diagram];

    int Make(int level, int low, int high)
    {
        if (low == high)
            return low;
        var node = new Node(level, low, high);
        if (_numbers.TryGetValue(node, out int number))
            return number;
        if (_nodes.Count == MaximumNodes)
        {
            IsTooLarge = true;
            return low;
        }

        _numbers.Add(node, _nodes.Count);
        _nodes.Add(node);
        return _nodes.Count - 1;
    }

    /// <summary>
    /// Shows each pair of ends that two functions have together, with the lowest arguments that lead there.
    /// </summary>
    /// <param name="visit">Takes both values and six arguments.</param>
    public void ForEachPair(int one, int other, Action<int, int, ulong[]> visit) =>
        Walk(one, other, [], new ulong[6], visit);

    void Walk(int one, int other, HashSet<(int, int)> seen, ulong[] arguments, Action<int, int, ulong[]> visit)
    {
        if (IsTooLarge || !seen.Add((one, other)))
            return;
        if (++_pairs > MaximumPairs)
        {
            IsTooLarge = true;
            return;
        }

        if (IsEnd(one, out int value) & IsEnd(other, out int second))
        {
            visit(value, second, [.. arguments]);
            return;
        }

        Node a = At(one), b = At(other);
        int level = Math.Min(a.Level, b.Level);
        ulong bit = 1UL << (BitsPerArgument - 1 - level % BitsPerArgument);
        Walk(a.Level == level ? a.Low : one, b.Level == level ? b.Low : other, seen, arguments, visit);
        arguments[level / BitsPerArgument] |= bit;
        Walk(a.Level == level ? a.High : one, b.Level == level ? b.High : other, seen, arguments, visit);
        arguments[level / BitsPerArgument] &= ~bit;
    }
}
