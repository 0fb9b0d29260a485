using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>What a path rule comes down to: patterns, and what they allow or deny.</summary>
/// <param name="IsShown">
/// Something shown, of which the deepest decides; its one pattern has no wildcards but ** at its end.
/// </param>
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
    /// <summary>By wildcard: the literals that match it.</summary>
    List<int>[] _matching = [];

    readonly Dictionary<int[], int> _stateIds = new(NumbersComparer.Instance);
    readonly List<int[]> _members = [];
    readonly List<int> _bases = [];
    readonly List<int> _rows = [];
    readonly List<int> _tails = [];
    readonly List<int> _shown = [];
    readonly List<int> _shownExactly = [];
    readonly List<(int State, int Symbol, int Next)> _edges = [];
    readonly Dictionary<int[], int> _rowIds = new(NumbersComparer.Instance);
    readonly List<int> _decisions = [];
    long _work;

    /// <summary>A place in the patterns: what may follow, and which rules end here.</summary>
    sealed class Node(bool isAny)
    {
        /// <summary>Children by literal and by wildcard; null for none.</summary>
        public Dictionary<int, int>? Literals, Wildcards;

        public readonly bool IsAny = isAny;
        public int Any = -1;

        /// <summary>Rules on what ends here.</summary>
        public List<int>? Rules;

        /// <summary>Rules on what ends here and on everything below.</summary>
        public List<int>? Tails;
    }

    PathCompiler(IReadOnlyList<CompiledPathRule> rules) => _rules = rules;

    /// <summary>
    /// Null when the rules' wildcards are so entangled that the tables would grow beyond their bounds.
    /// </summary>
    public static PathTables? Compile(IReadOnlyList<CompiledPathRule> rules) => new PathCompiler(rules).Run();

    PathTables? Run()
    {
        for (int rule = 0; rule < _rules.Count; rule++)
            foreach (IReadOnlyList<NamePattern> pattern in _rules[rule].Patterns)
                Insert(pattern, rule);
        if (_wildcards.Compile() is not WildcardCompiler.Automaton automaton)
            return null;
        _automaton = automaton;
        FindMatching();
        // Row 0 decides nothing.
        RowOf([]);
        int start = StateOf(Closed([0]));
        for (int state = 0; state < _members.Count; state++)
        {
            MakeEdges(state);
            if (_work > MaximumWork || _members.Count > MaximumStates || _edges.Count > MaximumEdges)
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
                NamePatternKind.Literal => Child(_nodes[at].Literals ??= [], LiteralOf(name)),
                NamePatternKind.Glob => Child(_nodes[at].Wildcards ??= [], _wildcards.Add(name)),
                _ => AnyChild(at),
            };
        List<int> rules = tail ? _nodes[at].Tails ??= [] : _nodes[at].Rules ??= [];
        // Rules come in order: one that names a place twice has just been added.
        if (rules is not [.., var last] || last != rule)
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

    void FindMatching()
    {
        _matching = new List<int>[_wildcards.Count];
        for (int wildcard = 0; wildcard < _matching.Length; wildcard++)
            _matching[wildcard] = [];
        for (int literal = 0; literal < _literalBytes.Count && _work <= MaximumWork; literal++)
            foreach (int wildcard in _automaton.Wildcards[ClassOf(literal)])
            {
                _matching[wildcard].Add(literal);
                _work++;
            }
    }

    /// <summary>With what ** adds without a name.</summary>
    int[] Closed(List<int> nodes)
    {
        for (int i = 0; i < nodes.Count; i++)
            if (_nodes[nodes[i]].Any is >= 0 and int any)
                nodes.Add(any);
        return Ascending(nodes);
    }

    /// <summary>Each number once.</summary>
    static int[] Ascending(List<int> numbers)
    {
        numbers.Sort();
        Span<int> all = CollectionsMarshal.AsSpan(numbers);
        int count = 0;
        foreach (int number in all)
            if (count == 0 || number != all[count - 1])
                all[count++] = number;
        return [.. all[..count]];
    }

    int StateOf(int[] members)
    {
        if (members.Length == 0)
            return PathTables.Dead;
        if (_stateIds.TryGetValue(members, out int state))
            return state;
        state = _members.Count;
        _stateIds.Add(members, state);
        _members.Add(members);
        CompiledPathRule[] exact = RulesOf(members, node => node.Rules), tails = RulesOf(members, node => node.Tails);
        _rows.Add(RowOf(exact));
        _tails.Add(RowOf(tails));
        _shown.Add(ShownBy(tails));
        _shownExactly.Add(ShownBy(exact));
        _bases.Add(PathTables.Dead);
        var open = new List<int>();
        foreach (int node in members)
            if (_nodes[node].IsAny)
                open.Add(node);
        _bases[state] = open.Count == members.Length ? state : StateOf(Closed(open));
        return state;
    }

    /// <summary>Edges for the symbols on which the state's own members differ from its base's.</summary>
    void MakeEdges(int state)
    {
        bool isBase = _bases[state] == state;
        int[] members = _members[state];
        var literals = new List<int>();
        var found = new List<int>();
        foreach (int member in members)
        {
            if (_nodes[member].IsAny && !isBase)
                continue;
            if (_nodes[member].Literals is Dictionary<int, int> spelled)
                literals.AddRange(spelled.Keys);
            if (_nodes[member].Wildcards is Dictionary<int, int> globs)
                found.AddRange(globs.Keys);
        }

        int[] wildcards = Ascending(found);
        if (wildcards.Length > 0)
        {
            foreach (int member in members)
                if (_nodes[member].Literals is Dictionary<int, int> spelled)
                    AddMatched(literals, spelled, wildcards);
            for (int set = 0; set < _automaton.Wildcards.Count; set++)
                if (Array.Exists(_automaton.Wildcards[set], wildcard => Array.BinarySearch(wildcards, wildcard) >= 0))
                    AddEdge(state, set, Next(members, -1, set));
        }

        foreach (int literal in Ascending(literals))
            AddEdge(state, SymbolOf(literal), Next(members, literal, ClassOf(literal)));
    }

    /// <summary>
    /// Names that the base spells out and that a wildcard here matches: they do not go where the base sends them.
    /// </summary>
    void AddMatched(List<int> literals, Dictionary<int, int> spelled, int[] wildcards)
    {
        foreach (int wildcard in wildcards)
        {
            List<int> matching = _matching[wildcard];
            bool fewMatch = matching.Count < spelled.Count;
            _work += Math.Min(matching.Count, spelled.Count);
            foreach (int literal in fewMatch ? matching : (IEnumerable<int>)spelled.Keys)
                if (fewMatch ? spelled.ContainsKey(literal) : matching.BinarySearch(literal) >= 0)
                    literals.Add(literal);
        }
    }

    void AddEdge(int state, int symbol, int[] next) => _edges.Add((state, symbol, StateOf(next)));

    int[] Next(int[] members, int literal, int set)
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
            if (literal >= 0 && node.Literals?.TryGetValue(literal, out int child) == true)
                next.Add(child);
            if (node.Wildcards is not null)
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

    CompiledPathRule[] RulesOf(int[] members, Func<Node, List<int>?> select)
    {
        var rules = new List<int>();
        foreach (int member in members)
            if (select(_nodes[member]) is List<int> here)
                rules.AddRange(here);
        return rules.Count == 0 ? [] : Array.ConvertAll(Ascending(rules), rule => _rules[rule]);
    }

    static int ShownBy(CompiledPathRule[] rules)
    {
        int shown = Array.FindIndex(rules, rule => rule.IsShown);
        return shown < 0 ? Verdict.NoRule : rules[shown].Index;
    }

    int RowOf(ReadOnlySpan<CompiledPathRule> rules)
    {
        int[] row = new int[PathTables.DecisionWidth];
        Array.Fill(row, Verdict.NoRule);
        foreach (CompiledPathRule rule in rules)
            if (!rule.IsShown)
                Decide(row.AsSpan(rule.Allow ? PathTables.AccessCount : 0), rule);
        if (_rowIds.TryGetValue(row, out int id))
            return id;
        id = _rowIds.Count;
        _rowIds.Add(row, id);
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
        int places = Places(_edges.Count);
        int[] table = new int[3 * places];
        Array.Fill(table, -1);
        foreach ((int state, int symbol, int next) in _edges)
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
