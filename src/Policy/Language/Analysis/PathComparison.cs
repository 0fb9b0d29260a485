using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Walks the automata of two policies together. Two paths that lead both to the same state, with the same rules holding
/// from further up, are decided alike, so that one path for each such pair that can be reached is enough.
/// </summary>
sealed class PathComparison
{
    /// <summary>
    /// Pairs of states, in each of the two walks. With <see cref="MaximumSteps"/>, a second and 50 MB at most.
    /// </summary>
    const int MaximumPairs = 150_000;

    const int MaximumSteps = 2_000_000;

    readonly Side _old;
    readonly Side _new;

    /// <summary>A name for each way in which both sides can take a name.</summary>
    readonly List<Letter> _letters = [];

    /// <summary>Letters by symbol of a side, for names that rules spell out.</summary>
    readonly Dictionary<string, Letter> _literals = new(StringComparer.Ordinal);
    readonly List<Letter> _classes = [];

    /// <summary>
    /// Names that rules spell out and that are all there are of their class, as "a" is all that a* and *a match and
    /// a*a does not: by class, since at a state that spells none of them out they are taken alike.
    /// </summary>
    readonly List<List<Letter>> _closedClasses = [];
    readonly List<Letter> _lettersHere = [];
    int _mark;
    int _steps;

    sealed class Letter(byte[] name, int oldSymbol, int newSymbol)
    {
        public byte[] Name { get; } = name;
        public int OldSymbol { get; } = oldSymbol;
        public int NewSymbol { get; } = newSymbol;

        /// <summary>The last pair that had this letter, so that a letter of both sides is taken once.</summary>
        public int Mark { get; set; }
    }

    PathComparison(CompiledPolicy old, CompiledPolicy @new)
    {
        _old = new Side(old);
        _new = new Side(@new);
    }

    /// <returns>False when the automata are too large to be compared.</returns>
    public static bool Compare(CompiledPolicy old, CompiledPolicy @new, RegionReport report) =>
        new PathComparison(old, @new).Run(report);

    bool Run(RegionReport report)
    {
        if (!MakeLetters())
            return false;
        var start = new Pair(_old.Enter(_old.Tables.Start, _old.Nothing), _new.Enter(_new.Tables.Start, _new.Nothing));
        var reached = new Dictionary<Pair, (Pair From, Letter? By)> { [start] = (start, null) };
        var queue = new Queue<Pair>([start]);
        while (queue.TryDequeue(out Pair pair))
        {
            foreach (PathAccess access in (ReadOnlySpan<PathAccess>)
                [PathAccess.Read, PathAccess.Write, PathAccess.Execute, PathAccess.Create, PathAccess.Delete])
                report(_old.Decide(pair.Old, access), _new.Decide(pair.New, access), $"{access}",
                    () => $"open {PathTo(reached, pair)} for {AccessText.Format(access)}");
            FillLettersAt(pair.Old.State, pair.New.State);
            foreach (Letter letter in _lettersHere)
            {
                if (++_steps > MaximumSteps)
                    return false;
                var next = new Pair(_old.Step(pair.Old, letter.OldSymbol), _new.Step(pair.New, letter.NewSymbol));
                if (!reached.TryAdd(next, (pair, letter)))
                    continue;
                if (reached.Count > MaximumPairs)
                    return false;
                queue.Enqueue(next);
            }
        }

        return true;
    }

    /// <param name="Holding">What holds from further up, by its number on that side.</param>
    readonly record struct Place(int State, int Holding);

    readonly record struct Pair(Place Old, Place New);

    static string PathTo(Dictionary<Pair, (Pair From, Letter? By)> reached, Pair pair)
    {
        var names = new Stack<string>();
        for (; reached[pair].By is Letter letter; pair = reached[pair].From)
            names.Push(Encoding.UTF8.GetString(letter.Name));
        return "/" + string.Join('/', names);
    }

    /// <summary>
    /// All classes, and of the names that are spelt out those that one of the two states knows, and one of each class
    /// that has no others.
    /// </summary>
    void FillLettersAt(int old, int @new)
    {
        _mark++;
        _lettersHere.Clear();
        foreach (Letter letter in _old.LettersAt(old, _literals))
            Add(letter);
        foreach (Letter letter in _new.LettersAt(@new, _literals))
            Add(letter);
        foreach (List<Letter> closed in _closedClasses)
            if (closed.Find(letter => letter.Mark != _mark) is Letter other)
                _lettersHere.Add(other);
        _lettersHere.AddRange(_classes);

        void Add(Letter letter)
        {
            if (letter.Mark == _mark)
                return;
            letter.Mark = _mark;
            _lettersHere.Add(letter);
        }
    }

    /// <summary>
    /// Every name that a rule spells out is a letter. Other names differ only by the wildcards that they match: the
    /// product of both sides' wildcard automata is searched for the shortest name in each class that no rule spells
    /// out.
    /// </summary>
    bool MakeLetters()
    {
        foreach (string name in _old.Literals.Keys.Concat(_new.Literals.Keys).Distinct(StringComparer.Ordinal))
        {
            byte[] bytes = Encoding.UTF8.GetBytes(name);
            _literals.Add(name, new Letter(bytes, _old.Rules.SymbolOf(bytes), _new.Rules.SymbolOf(bytes)));
        }

        // What no path holds is no letter either.
        var spelt = new SpeltNames(
            _literals.Values.Select(letter => letter.Name).Append("."u8.ToArray()).Append(".."u8.ToArray()));
        byte[][] kinds = Kinds();
        HashSet<(int, int)> classes = [], open = [];
        var reached = new List<Prefix> { new(0, 0, spelt.All, -1, 0) };
        var seen = new HashSet<(int, int, SpeltNames.Range)> { (0, 0, spelt.All) };
        for (int i = 0; i < reached.Count; i++)
        {
            Prefix at = reached[i];
            var symbols = (_old.Tables.WildcardSymbols[at.Old], _new.Tables.WildcardSymbols[at.New]);
            // Shorter names come first: where the first is too long for a name, all are.
            if (i > 0 && !spelt.IsEnd(at.Spelt) && classes.Add(symbols)
                && NameOf(reached, i) is { Length: <= GuestPath.MaximumNameBytes } name)
            {
                open.Add(symbols);
                _classes.Add(new Letter(name, symbols.Item1, symbols.Item2));
            }

            byte[] spellings = spelt.Next(at.Spelt);
            // One of each kind that leaves what is spelt out, and whatever goes on spelling.
            foreach (byte b in kinds.Select(kind => FirstNotIn(kind, spellings)).Concat(spellings))
            {
                if (b == 0)
                    continue;
                if (++_steps > MaximumSteps)
                    return false;
                var next = new Prefix(
                    _old.WildcardStep(at.Old, b), _new.WildcardStep(at.New, b), spelt.Step(at.Spelt, b), i, b);
                if (seen.Add((next.Old, next.New, next.Spelt)))
                    reached.Add(next);
            }

            if (reached.Count > MaximumPairs)
                return false;
        }

        _closedClasses.AddRange(_literals.Values
            .GroupBy(letter => (_old.Tables.Classes[letter.OldSymbol], _new.Tables.Classes[letter.NewSymbol]))
            .Where(same => !open.Contains(same.Key)).Select(same => same.ToList()));
        return true;
    }

    /// <summary>The beginning of a name, as both wildcard automata and the names that are spelt out see it.</summary>
    /// <param name="Before">The prefix that it is one byte longer than.</param>
    readonly record struct Prefix(int Old, int New, SpeltNames.Range Spelt, int Before, byte Last);

    static byte[] NameOf(List<Prefix> reached, int index)
    {
        var name = new List<byte>();
        for (; index > 0; index = reached[index].Before)
            name.Add(reached[index].Last);
        name.Reverse();
        return [.. name];
    }

    /// <summary>Bytes that all wildcards take alike, readable ones first.</summary>
    byte[][] Kinds()
    {
        IEnumerable<int> order =
            Enumerable.Range('a', 26).Concat(Enumerable.Range('0', 10)).Concat(Enumerable.Range(1, 255)).Distinct();
        return [.. order.Where(b => b != '/').Select(b => (byte)b)
            .GroupBy(b => (_old.Tables.Columns[b], _new.Tables.Columns[b])).Select(kind => kind.ToArray())];
    }

    /// <summary>0 when there is none.</summary>
    static byte FirstNotIn(byte[] kind, byte[] taken)
    {
        foreach (byte b in kind)
            if (!taken.AsSpan().Contains(b))
                return b;
        return 0;
    }

    /// <summary>One policy's automaton, with what the walk needs beside the tables.</summary>
    sealed class Side
    {
        readonly CompiledPolicy _policy;
        readonly Dictionary<int, List<string>> _namesByState = [];
        readonly Dictionary<int, List<Letter>> _lettersByState = [];

        public Side(CompiledPolicy policy)
        {
            _policy = policy;
            var bySymbol = new Dictionary<int, string>();
            for (int place = 0; place < Tables.Names.Length; place += 3)
                if (Tables.Names[place + 1] != 0)
                {
                    string name =
                        Encoding.UTF8.GetString(Tables.NameBytes, Tables.Names[place], Tables.Names[place + 1]);
                    Literals.Add(name, Tables.Names[place + 2]);
                    bySymbol.Add(Tables.Names[place + 2], name);
                }

            for (int place = 0; place < Tables.Edges.Length; place += 3)
                if (Tables.Edges[place] >= 0 && bySymbol.TryGetValue(Tables.Edges[place + 1], out string? name))
                {
                    if (!_namesByState.TryGetValue(Tables.Edges[place], out List<string>? names))
                        _namesByState.Add(Tables.Edges[place], names = []);
                    names.Add(name);
                }
        }

        public PathRules Rules => _policy.Paths;

        public PathTables Tables => _policy.Paths.Tables;

        public Dictionary<string, int> Literals { get; } = new(StringComparer.Ordinal);

        /// <summary>Rows of rules that hold, and behind them what is shown, by their numbers.</summary>
        readonly List<int[]> _holdings = [];
        readonly Dictionary<string, int> _holdingIds = new(StringComparer.Ordinal);
        readonly Dictionary<(int Holding, int Tail, int Shown), int> _entered = [];

        /// <summary>At the beginning no rule holds.</summary>
        public int Nothing => Intern([.. Enumerable.Repeat(Verdict.NoRule, PathTables.DecisionWidth + 1)]);

        int Intern(int[] holding)
        {
            string key = string.Join(',', holding);
            if (!_holdingIds.TryGetValue(key, out int id))
            {
                _holdingIds.Add(key, id = _holdings.Count);
                _holdings.Add(holding);
            }

            return id;
        }

        public Place Enter(int state, int holding)
        {
            if (state == PathTables.Dead || (Tables.Tails[state] == 0 && Tables.Shown[state] < 0))
                return new Place(state, holding);
            var change = (holding, Tables.Tails[state], Tables.Shown[state]);
            if (!_entered.TryGetValue(change, out int entered))
            {
                int[] next = [.. _holdings[holding]];
                Rules.Merge(Tables.Tails[state], next.AsSpan(0, PathTables.DecisionWidth));
                if (Tables.Shown[state] >= 0)
                    next[^1] = Tables.Shown[state];
                _entered.Add(change, entered = Intern(next));
            }

            return new Place(state, entered);
        }

        public Place Step(Place from, int symbol) =>
            Enter(Rules.Step(from.State, symbol, Tables.Classes[symbol]), from.Holding);

        public int WildcardStep(int state, byte b) =>
            Tables.WildcardSteps[state * Tables.ColumnCount + Tables.Columns[b]];

        /// <summary>What a state's own edges spell out, and those of its base.</summary>
        /// <param name="letters">By name.</param>
        public List<Letter> LettersAt(int state, Dictionary<string, Letter> letters)
        {
            if (state == PathTables.Dead)
                return [];
            List<Letter> own = OwnLetters(state, letters);
            int below = Tables.Bases[state];
            if (below == PathTables.Dead || below == state)
                return own;
            List<Letter> others = OwnLetters(below, letters);
            return own.Count == 0 ? others : [.. own, .. others];
        }

        List<Letter> OwnLetters(int state, Dictionary<string, Letter> letters)
        {
            if (!_lettersByState.TryGetValue(state, out List<Letter>? own))
                _lettersByState.Add(
                    state, own = [.. (_namesByState.GetValueOrDefault(state) ?? []).Select(name => letters[name])]);
            return own;
        }

        public Decision Decide(Place place, PathAccess access)
        {
            Span<int> row = stackalloc int[PathTables.DecisionWidth + 1];
            _holdings[place.Holding].CopyTo(row);
            int shown = row[^1];
            if (place.State != PathTables.Dead)
            {
                Rules.Merge(Tables.Rows[place.State], row[..PathTables.DecisionWidth]);
                if (Tables.ShownExactly[place.State] >= 0)
                    shown = Tables.ShownExactly[place.State];
            }

            int column = int.TrailingZeroCount((int)access);
            if (row[column] >= 0)
                return new Decision(false, _policy.PathRuleList[row[column]]);
            if (shown >= 0 && (Tables.ShownAccess[shown] & (int)access) != 0)
                return new Decision(true, _policy.PathRuleList[shown]);
            int allowed = row[PathTables.AccessCount + column];
            return new Decision(allowed >= 0, allowed >= 0 ? _policy.PathRuleList[allowed] : null);
        }
    }
}
