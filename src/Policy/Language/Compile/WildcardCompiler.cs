namespace Sandbox.Policy.Language;

/// <summary>
/// All wildcard names of some rules as one automaton over bytes: which of them a name matches is known after one pass.
/// </summary>
sealed class WildcardCompiler
{
    /// <summary>Entries of the automaton's table; 16 MiB.</summary>
    const int MaximumSteps = 4 << 20;

    /// <summary>Places in wildcards looked at while compiling, so that entangled ones are refused soon.</summary>
    const int MaximumWork = 1_000_000;

    /// <summary>Byte of a node that stands for *.</summary>
    const int Star = 256;

    readonly List<Node> _nodes = [new Node(isStar: false)];
    readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);

    sealed class Node(bool isStar)
    {
        /// <summary>By byte or star; null for none.</summary>
        public Dictionary<int, int>? Children;
        public readonly bool IsStar = isStar;
        public int Wildcard = -1;
    }

    /// <summary>One above the highest number of a wildcard.</summary>
    public int Count => _ids.Count;

    /// <summary>Adds a wildcard name, once; its number.</summary>
    public int Add(NamePattern name)
    {
        if (_ids.TryGetValue(name.Key, out int id))
            return id;
        id = _ids.Count;
        _ids.Add(name.Key, id);
        int node = 0;
        for (int i = 0; i < name.Pieces.Count; i++)
        {
            if (i > 0)
                node = Child(node, Star);
            foreach (byte b in name.Pieces[i])
                node = Child(node, b);
        }

        // Two spellings can lead to one node only if they are one wildcard: \~ and ~.
        if (_nodes[node].Wildcard >= 0)
            return _ids[name.Key] = _nodes[node].Wildcard;
        return _nodes[node].Wildcard = id;
    }

    int Child(int parent, int symbol)
    {
        Dictionary<int, int> children = _nodes[parent].Children ??= [];
        if (!children.TryGetValue(symbol, out int child))
        {
            children.Add(symbol, child = _nodes.Count);
            _nodes.Add(new Node(symbol == Star));
        }

        return child;
    }

    /// <summary>Null when the table would be too large.</summary>
    public Automaton? Compile()
    {
        byte[] columns = Columns(out List<byte> samples);
        var sets = new Dictionary<int[], int>(NumbersComparer.Instance);
        var symbols = new Dictionary<int[], int>(NumbersComparer.Instance);
        var wildcards = new List<int[]>();
        var members = new List<int[]>();
        var steps = new List<int>();
        var ends = new List<int>();

        int Intern(SortedSet<int> set)
        {
            int[] sorted = [.. set];
            if (sets.TryGetValue(sorted, out int state))
                return state;
            sets.Add(sorted, members.Count);
            members.Add(sorted);
            int[] matched = [.. sorted.Select(node => _nodes[node].Wildcard).Where(id => id >= 0).Order()];
            if (!symbols.TryGetValue(matched, out int symbol))
            {
                symbols.Add(matched, symbol = wildcards.Count);
                wildcards.Add(matched);
            }

            ends.Add(symbol);
            return members.Count - 1;
        }

        long work = 0;
        var start = new SortedSet<int>();
        Enter(start, 0);
        Intern(start);
        for (int state = 0; state < members.Count; state++)
        {
            work += (long)members[state].Length * samples.Count;
            if (work > MaximumWork || (long)members.Count * samples.Count > MaximumSteps)
                return null;
            foreach (byte sample in samples)
            {
                var next = new SortedSet<int>();
                foreach (int node in members[state])
                {
                    if (_nodes[node].IsStar)
                        Enter(next, node);
                    if (_nodes[node].Children?.TryGetValue(sample, out int child) == true)
                        Enter(next, child);
                }

                steps.Add(Intern(next));
            }
        }

        return new Automaton(columns, samples, [.. steps], [.. ends], wildcards);
    }

    /// <param name="Samples">A byte for each column.</param>
    /// <param name="Symbols">By state.</param>
    /// <param name="Wildcards">By symbol: the wildcards that a name matches.</param>
    public sealed record Automaton(
        byte[] Columns, IReadOnlyList<byte> Samples, int[] Steps, int[] Symbols, IReadOnlyList<int[]> Wildcards)
    {
        public int Step(int state, byte b) => Steps[state * Samples.Count + Columns[b]];
    }

    void Enter(SortedSet<int> set, int node)
    {
        if (set.Add(node) && _nodes[node].Children?.TryGetValue(Star, out int star) == true)
            Enter(set, star);
    }

    /// <summary>Bytes that no wildcard mentions share a column, whose sample is one that people can read.</summary>
    byte[] Columns(out List<byte> samples)
    {
        var used = new bool[256];
        foreach (Node node in _nodes)
            foreach ((int symbol, int _) in node.Children ?? [])
                if (symbol < Star)
                    used[symbol] = true;
        var columns = new byte[256];
        samples = [];
        if (!used.All(b => b))
        {
            int readable =
                Enumerable.Range('a', 26).Concat(Enumerable.Range(0, 256)).First(b => !used[b] && b is not ('/' or 0));
            samples.Add((byte)readable);
        }

        foreach (int b in Enumerable.Range(0, 256).Where(b => used[b]))
        {
            columns[b] = (byte)samples.Count;
            samples.Add((byte)b);
        }

        return columns;
    }
}
