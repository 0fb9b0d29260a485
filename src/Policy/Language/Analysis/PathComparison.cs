using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Walks the automata of two policies together. Two paths that lead both to the same state, with the same rules holding
/// from further up, are decided alike, so that one path for each such pair that can be reached is enough.
/// </summary>
sealed class PathComparison
{
    const int MaximumPairs = 200_000;
    const int MaximumSteps = 5_000_000;

    readonly Side _old;
    readonly Side _new;

    /// <summary>For names that rules spell out.</summary>
    readonly Dictionary<string, Letter> _literals = new(StringComparer.Ordinal);

    /// <summary>For all other names.</summary>
    readonly List<Letter> _classes = [];

    sealed class Letter(byte[] name, int oldSymbol, int newSymbol)
    {
        public byte[] Name => name;

        public int OldSymbol => oldSymbol;

        public int NewSymbol => newSymbol;

        /// <summary>The last pair that it was taken at.</summary>
        public int TakenAt { get; set; } = -1;
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
        int steps = 0;
        for (int number = 0; queue.TryDequeue(out Pair pair); number++)
        {
            foreach (PathAccess access in (ReadOnlySpan<PathAccess>)
                [PathAccess.Read, PathAccess.Write, PathAccess.Execute, PathAccess.Create, PathAccess.Delete])
                report(_old.Decide(pair.Old, access), _new.Decide(pair.New, access), $"{access}",
                    () => $"open {PathTo(reached, pair)} for {AccessText.Format(access)}");
            foreach (Letter letter in LettersAt(pair.Old.State, pair.New.State))
            {
                if (letter.TakenAt == number)
                    continue;
                letter.TakenAt = number;
                if (++steps > MaximumSteps)
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

    /// <summary>All classes, and of the names that are spelt out those that one of the two states knows; some more than once.</summary>
    IEnumerable<Letter> LettersAt(int old, int @new)
    {
        foreach (List<Letter> letters in _old.LettersAt(old))
            foreach (Letter letter in letters)
                yield return letter;
        foreach (List<Letter> letters in _new.LettersAt(@new))
            foreach (Letter letter in letters)
                yield return letter;
        foreach (Letter letter in _classes)
            yield return letter;
    }

    /// <summary>
    /// Every name that a rule spells out is a letter. Other names differ only by the wildcards that they match: the
    /// product of both sides' wildcard automata is searched for the shortest name in each class that no rule spells out.
    /// </summary>
    bool MakeLetters()
    {
        foreach (string name in _old.Literals.Keys.Concat(_new.Literals.Keys).Distinct(StringComparer.Ordinal))
        {
            byte[] bytes = Encoding.UTF8.GetBytes(name);
            _literals.Add(name, new Letter(bytes, _old.Rules.SymbolOf(bytes), _new.Rules.SymbolOf(bytes)));
        }

        _old.FindLetters(_literals);
        _new.FindLetters(_literals);
        // What no path holds is no letter either.
        var spelt = new SpeltNames([.. _literals.Values.Select(letter => letter.Name), "."u8.ToArray(), ".."u8.ToArray()]);
        byte[] alphabet = Alphabet(spelt);
        var classes = new HashSet<(int, int)>();
        var reached = new HashSet<(int, int, SpeltNames.Prefix)> { (0, 0, spelt.All) };
        var queue = new Queue<(int Old, int New, SpeltNames.Prefix Spelt, byte[] Name)>([(0, 0, spelt.All, [])]);
        while (queue.TryDequeue(out (int Old, int New, SpeltNames.Prefix Spelt, byte[] Name) at))
        {
            var symbols = (_old.Tables.WildcardSymbols[at.Old], _new.Tables.WildcardSymbols[at.New]);
            if (at.Name.Length > 0 && !spelt.IsWhole(at.Spelt) && classes.Add(symbols))
                _classes.Add(new Letter(at.Name, symbols.Item1, symbols.Item2));
            foreach (byte b in alphabet)
            {
                (int, int, SpeltNames.Prefix Spelt) next =
                    (_old.WildcardStep(at.Old, b), _new.WildcardStep(at.New, b), spelt.Then(at.Spelt, b));
                // Whatever a name that no rule begins with leads to, one that a rule begins with leads to no more.
                if (reached.Contains((next.Item1, next.Item2, default)) || !reached.Add(next))
                    continue;
                queue.Enqueue((next.Item1, next.Item2, next.Spelt, [.. at.Name, b]));
            }

            if (reached.Count > MaximumPairs)
                return false;
        }

        return true;
    }

    /// <summary>A byte for each kind that wildcards and spelt names tell apart; readable ones first.</summary>
    byte[] Alphabet(SpeltNames spelt)
    {
        var kinds = new HashSet<(byte, byte, bool, byte)>();
        HashSet<byte> inNames = spelt.Bytes();
        byte[] order = [.. Enumerable.Range('a', 26).Concat(Enumerable.Range('0', 10)).Concat(Enumerable.Range(1, 255)).Distinct().Select(b => (byte)b)];
        return [.. order.Where(b => b != '/' && kinds.Add(
            (_old.Tables.Columns[b], _new.Tables.Columns[b], inNames.Contains(b), inNames.Contains(b) ? b : (byte)0)))];
    }

    /// <summary>One policy's automaton, with what the walk needs beside the tables.</summary>
    sealed class Side
    {
        readonly CompiledPolicy _policy;
        readonly Dictionary<int, List<Letter>> _lettersByState = [];

        public Side(CompiledPolicy policy)
        {
            _policy = policy;
            for (int place = 0; place < Tables.Names.Length; place += 3)
                if (Tables.Names[place + 1] != 0)
                    Literals.Add(
                        Encoding.UTF8.GetString(Tables.NameBytes, Tables.Names[place], Tables.Names[place + 1]), Tables.Names[place + 2]);
        }

        /// <summary>By state: the letters of names that have an edge there.</summary>
        public void FindLetters(Dictionary<string, Letter> literals)
        {
            Dictionary<int, Letter> bySymbol = Literals.ToDictionary(literal => literal.Value, literal => literals[literal.Key]);
            for (int place = 0; place < Tables.Edges.Length; place += 3)
                if (Tables.Edges[place] >= 0 && bySymbol.TryGetValue(Tables.Edges[place + 1], out Letter? letter))
                {
                    if (!_lettersByState.TryGetValue(Tables.Edges[place], out List<Letter>? letters))
                        _lettersByState.Add(Tables.Edges[place], letters = []);
                    letters.Add(letter);
                }
        }

        public PathRules Rules => _policy.Paths;

        public PathTables Tables => _policy.Paths.Tables;

        public Dictionary<string, int> Literals { get; } = new(StringComparer.Ordinal);

        /// <summary>Rows of rules that hold, and behind them what is shown, by their numbers.</summary>
        readonly List<int[]> _holdings = [];
        readonly Dictionary<int[], int> _holdingIds = new(NumbersComparer.Instance);

        /// <summary>At the beginning no rule holds.</summary>
        public int Nothing => Intern([.. Enumerable.Repeat(Verdict.NoRule, PathTables.DecisionWidth + 1)]);

        int Intern(int[] holding)
        {
            if (!_holdingIds.TryGetValue(holding, out int id))
            {
                _holdingIds.Add(holding, id = _holdings.Count);
                _holdings.Add(holding);
            }

            return id;
        }

        public Place Enter(int state, int holding)
        {
            if (state == PathTables.Dead || (Tables.Tails[state] == 0 && Tables.Shown[state] < 0))
                return new Place(state, holding);
            int[] next = [.. _holdings[holding]];
            Rules.Merge(Tables.Tails[state], next.AsSpan(0, PathTables.DecisionWidth));
            if (Tables.Shown[state] >= 0)
                next[^1] = Tables.Shown[state];
            return new Place(state, Intern(next));
        }

        public Place Step(Place from, int symbol) => Enter(Rules.Step(from.State, symbol, Tables.Classes[symbol]), from.Holding);

        public int WildcardStep(int state, byte b) => Tables.WildcardSteps[state * Tables.ColumnCount + Tables.Columns[b]];

        /// <summary>Of the state and of its base.</summary>
        public IEnumerable<List<Letter>> LettersAt(int state)
        {
            if (state == PathTables.Dead)
                yield break;
            if (_lettersByState.TryGetValue(state, out List<Letter>? own))
                yield return own;
            int below = Tables.Bases[state];
            if (below != state && _lettersByState.TryGetValue(below, out List<Letter>? known))
                yield return known;
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
