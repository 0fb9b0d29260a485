using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>What a path rule comes down to: patterns, and what they allow or deny.</summary>
/// <param name="IsShown">Something shown, of which the deepest decides; its one pattern has no wildcards but ** at its end.</param>
readonly record struct CompiledPathRule(
    int Index, bool Allow, PathAccess Access, IReadOnlyList<IReadOnlyList<NamePattern>> Patterns, bool IsShown = false);

/// <summary>Compiles path rules to <see cref="PathTables"/>, whose remarks say how they are laid out.</summary>
sealed class PathCompiler
{
    public const int MaximumStates = 200_000;
    public const int MaximumEdges = 2_000_000;

    /// <summary>Places in patterns looked at while compiling, so that entangled ones are refused soon.</summary>
    const int MaximumWork = 1_000_000;

    readonly List<Node> _nodes = [new Node(isAny: false)];
    readonly WildcardCompiler _wildcards = new();
    readonly Dictionary<string, int> _literals = new(StringComparer.Ordinal);
    readonly List<byte[]> _literalBytes = [];
    readonly IReadOnlyList<CompiledPathRule> _rules;

    WildcardCompiler.Automaton _automaton = null!;
    readonly Dictionary<string, int> _stateIds = new(StringComparer.Ordinal);
    readonly List<int[]> _members = [];
    readonly List<int> _bases = [];
    readonly List<int> _rows = [];
    readonly List<int> _tails = [];
    readonly List<int> _shown = [];
    readonly List<int> _shownExactly = [];
    readonly List<Dictionary<int, int>> _edges = [];
    readonly Dictionary<string, int> _rowIds = new(StringComparer.Ordinal);
    readonly List<int> _decisions = [];
    int _edgeCount;
    long _work;

    /// <summary>A place in the patterns: what may follow, and which rules end here.</summary>
    sealed class Node(bool isAny)
    {
        public readonly Dictionary<int, int> Literals = [];
        public readonly Dictionary<int, int> Wildcards = [];
        public readonly bool IsAny = isAny;
        public int Any = -1;

        /// <summary>Rules on what ends here.</summary>
        public List<int>? Rules;

        /// <summary>Rules on what ends here and on everything below.</summary>
        public List<int>? Tails;
    }

    PathCompiler(IReadOnlyList<CompiledPathRule> rules) => _rules = rules;

    /// <summary>Null when the rules' wildcards are so entangled that the tables would grow beyond their bounds.</summary>
    public static PathTables? Compile(IReadOnlyList<CompiledPathRule> rules) => new PathCompiler(rules).Run();

    PathTables? Run()
    {
        for (int rule = 0; rule < _rules.Count; rule++)
            foreach (IReadOnlyList<NamePattern> pattern in _rules[rule].Patterns)
                Insert(pattern, rule);
        if (_wildcards.Compile() is not WildcardCompiler.Automaton automaton)
            return null;
        _automaton = automaton;
        // Row 0 decides nothing.
        RowOf([]);
        int start = StateOf(Closed([0]));
        for (int state = 0; state < _members.Count; state++)
        {
            MakeEdges(state);
            if (_work > MaximumWork || _members.Count > MaximumStates || _edgeCount > MaximumEdges)
                return null;
        }

        return Tables(start);
    }

    void Insert(IReadOnlyList<NamePattern> pattern, int rule)
    {
        int at = 0;
        bool tail = pattern is [.., { Kind: NamePatternKind.AnyNames }];
        foreach (NamePattern name in tail ? pattern.SkipLast(1) : pattern)
            at = name.Kind switch
            {
                NamePatternKind.Literal => Child(_nodes[at].Literals, LiteralOf(name)),
                NamePatternKind.Glob => Child(_nodes[at].Wildcards, _wildcards.Add(name)),
                _ => AnyChild(at),
            };
        List<int> rules = tail ? _nodes[at].Tails ??= [] : _nodes[at].Rules ??= [];
        if (!rules.Contains(rule))
            rules.Add(rule);
    }

    int LiteralOf(NamePattern name)
    {
        if (!_literals.TryGetValue(name.Key, out int literal))
        {
            _literals.Add(name.Key, literal = _literalBytes.Count);
            _literalBytes.Add(name.Pieces[0]);
        }

        return literal;
    }

    int Child(Dictionary<int, int> children, int symbol)
    {
        if (!children.TryGetValue(symbol, out int child))
        {
            children.Add(symbol, child = _nodes.Count);
            _nodes.Add(new Node(isAny: false));
        }

        return child;
    }

    int AnyChild(int parent)
    {
        if (_nodes[parent].Any < 0)
        {
            _nodes[parent].Any = _nodes.Count;
            _nodes.Add(new Node(isAny: true));
        }

        return _nodes[parent].Any;
    }

    /// <summary>With what ** adds without a name.</summary>
    SortedSet<int> Closed(IEnumerable<int> nodes)
    {
        var closed = new SortedSet<int>();
        foreach (int node in nodes)
            for (int at = node; at >= 0 && closed.Add(at); at = _nodes[at].Any)
            {
            }

        return closed;
    }

    int StateOf(SortedSet<int> set)
    {
        if (set.Count == 0)
            return PathTables.Dead;
        int[] members = [.. set];
        string key = new(MemoryMarshal.Cast<int, char>(members));
        if (_stateIds.TryGetValue(key, out int state))
            return state;
        state = _members.Count;
        _stateIds.Add(key, state);
        _members.Add(members);
        CompiledPathRule[] exact = RulesOf(members, node => node.Rules), tails = RulesOf(members, node => node.Tails);
        _rows.Add(RowOf(exact));
        _tails.Add(RowOf(tails));
        _shown.Add(ShownBy(tails));
        _shownExactly.Add(ShownBy(exact));
        _edges.Add([]);
        _bases.Add(PathTables.Dead);
        SortedSet<int> open = Closed(members.Where(node => _nodes[node].IsAny));
        _bases[state] = open.Count == members.Length ? state : StateOf(open);
        return state;
    }

    /// <summary>Edges for the symbols on which the state's own members differ from its base's.</summary>
    void MakeEdges(int state)
    {
        bool isBase = _bases[state] == state;
        int[] members = _members[state];
        Node[] own = [.. members.Select(node => _nodes[node]).Where(node => isBase || !node.IsAny)];
        var literals = new SortedSet<int>(own.SelectMany(node => node.Literals.Keys));
        var wildcards = new HashSet<int>(own.SelectMany(node => node.Wildcards.Keys));
        if (wildcards.Count > 0)
        {
            // A name that the base spells out may match a wildcard here.
            literals.UnionWith(members.SelectMany(node => _nodes[node].Literals.Keys));
            for (int set = 0; set < _automaton.Wildcards.Count; set++)
                if (_automaton.Wildcards[set].Any(wildcards.Contains))
                    AddEdge(state, set, Next(members, -1, set));
        }

        foreach (int literal in literals)
            AddEdge(state, SymbolOf(literal), Next(members, literal, ClassOf(literal)));
    }

    void AddEdge(int state, int symbol, SortedSet<int> next)
    {
        _edges[state].Add(symbol, StateOf(next));
        _edgeCount++;
    }

    SortedSet<int> Next(int[] members, int literal, int set)
    {
        var next = new List<int>();
        if (_work > MaximumWork)
            return [];
        _work += members.Length;
        foreach (int member in members)
        {
            Node node = _nodes[member];
            if (node.IsAny)
                next.Add(member);
            if (literal >= 0 && node.Literals.TryGetValue(literal, out int child))
                next.Add(child);
            if (node.Wildcards.Count > 0)
                foreach (int wildcard in _automaton.Wildcards[set])
                    if (node.Wildcards.TryGetValue(wildcard, out child))
                        next.Add(child);
        }

        return Closed(next);
    }

    int SymbolOf(int literal) => _automaton.Wildcards.Count + literal;

    int ClassOf(int literal)
    {
        int state = 0;
        foreach (byte b in _literalBytes[literal])
            state = _automaton.Step(state, b);
        return _automaton.Symbols[state];
    }

    CompiledPathRule[] RulesOf(int[] members, Func<Node, List<int>?> select) =>
        [.. members.SelectMany(node => select(_nodes[node]) ?? []).Distinct().Order().Select(rule => _rules[rule])];

    static int ShownBy(CompiledPathRule[] rules)
    {
        int shown = Array.FindIndex(rules, rule => rule.IsShown);
        return shown < 0 ? Verdict.NoRule : rules[shown].Index;
    }

    int RowOf(ReadOnlySpan<CompiledPathRule> rules)
    {
        Span<int> row = stackalloc int[PathTables.DecisionWidth];
        row.Fill(Verdict.NoRule);
        foreach (CompiledPathRule rule in rules)
            if (!rule.IsShown)
                Decide(row[(rule.Allow ? PathTables.AccessCount : 0)..], rule);
        string key = new(MemoryMarshal.Cast<int, char>(row));
        if (_rowIds.TryGetValue(key, out int id))
            return id;
        id = _rowIds.Count;
        _rowIds.Add(key, id);
        _decisions.AddRange(row);
        return id;
    }

    static void Decide(Span<int> row, CompiledPathRule rule)
    {
        for (int column = 0; column < PathTables.AccessCount; column++)
            if (((int)rule.Access & (1 << column)) != 0 && (row[column] < 0 || rule.Index < row[column]))
                row[column] = rule.Index;
    }

    PathTables Tables(int start)
    {
        int sets = _automaton.Wildcards.Count;
        return new PathTables
        {
            Start = start,
            Bases = [.. _bases],
            Rows = [.. _rows],
            Tails = [.. _tails],
            Shown = [.. _shown],
            ShownExactly = [.. _shownExactly],
            ShownAccess = [.. _rules.Where(rule => rule.IsShown).Select(rule => (int)rule.Access)],
            Decisions = [.. _decisions],
            Edges = EdgeTable(),
            NameBytes = [.. _literalBytes.SelectMany(bytes => bytes)],
            Names = NameTable(),
            Classes = [.. Enumerable.Range(0, sets), .. Enumerable.Range(0, _literalBytes.Count).Select(ClassOf)],
            Columns = _automaton.Columns,
            ColumnCount = _automaton.Samples.Count,
            WildcardSteps = _automaton.Steps,
            WildcardSymbols = _automaton.Symbols,
        };
    }

    int[] EdgeTable()
    {
        int places = Places(_edgeCount);
        int[] table = new int[3 * places];
        Array.Fill(table, -1);
        for (int state = 0; state < _edges.Count; state++)
            foreach ((int symbol, int next) in _edges[state])
            {
                int place = PathTables.EdgePlace(state, symbol, places);
                while (table[3 * place] >= 0)
                    place = (place + 1) & (places - 1);
                (table[3 * place], table[3 * place + 1], table[3 * place + 2]) = (state, symbol, next);
            }

        return table;
    }

    int[] NameTable()
    {
        int places = Places(_literalBytes.Count);
        int[] table = new int[3 * places];
        int offset = 0;
        for (int literal = 0; literal < _literalBytes.Count; literal++)
        {
            byte[] name = _literalBytes[literal];
            int place = (int)PathTables.Hash(name) & (places - 1);
            while (table[3 * place + 1] != 0)
                place = (place + 1) & (places - 1);
            (table[3 * place], table[3 * place + 1], table[3 * place + 2]) = (offset, name.Length, SymbolOf(literal));
            offset += name.Length;
        }

        return table;
    }

    /// <summary>At most half full, so that searches are short.</summary>
    static int Places(int entries) => (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2 * entries, 2));
}
