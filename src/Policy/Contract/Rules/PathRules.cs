using System.Numerics;

namespace Sandbox.Policy.Contract;

/// <summary>
/// Decides about paths. One pass over the path, no allocation, no lock; the time depends on the path and not on how
/// many rules there are.
/// </summary>
public sealed class PathRules
{
    readonly PathTables _tables;
    readonly int _edgePlaces;
    readonly int _namePlaces;

    /// <exception cref="PlanException">An index in the tables leads outside them.</exception>
    public PathRules(PathTables tables)
    {
        PathTablesCheck.Check(tables);
        _tables = tables;
        _edgePlaces = tables.Edges.Length / 3;
        _namePlaces = tables.Names.Length / 3;
    }

    public PathTables Tables => _tables;

    /// <param name="path">Absolute and normalised: no empty names, no '.', no '..'.</param>
    /// <param name="access">Exactly one.</param>
    public Verdict Decide(ReadOnlySpan<byte> path, PathAccess access)
    {
        int column = BitOperations.TrailingZeroCount((int)access);
        if ((uint)column >= PathTables.AccessCount)
            return Verdict.Unmatched;
        int state = _tables.Start, shown = Verdict.NoRule, denied = Verdict.NoRule, allowed = Verdict.NoRule;
        int at = 1;
        while (true)
        {
            if (_tables.Tails[state] is > 0 and int tail)
                Merge(tail, column, ref denied, ref allowed);
            if (_tables.Shown[state] >= 0)
                shown = _tables.Shown[state];
            if (at >= path.Length)
                break;
            state = Next(state, path, ref at);
            if (state == PathTables.Dead)
                return Answer(access, shown, denied, allowed);
        }

        Merge(_tables.Rows[state], column, ref denied, ref allowed);
        return Answer(access, _tables.ShownExactly[state] >= 0 ? _tables.ShownExactly[state] : shown, denied, allowed);
    }

    void Merge(int row, int column, ref int denied, ref int allowed)
    {
        int at = row * PathTables.DecisionWidth + column;
        denied = Lower(denied, _tables.Decisions[at]);
        allowed = Lower(allowed, _tables.Decisions[at + PathTables.AccessCount]);
    }

    /// <summary>The lower of two rules, of which either may be none.</summary>
    static int Lower(int a, int b) => (int)Math.Min((uint)a, (uint)b);

    Verdict Answer(PathAccess access, int shown, int denied, int allowed)
    {
        if (denied >= 0)
            return new Verdict(false, denied);
        if (shown >= 0 && (_tables.ShownAccess[shown] & (int)access) != 0)
            return new Verdict(true, shown);
        return new Verdict(allowed >= 0, allowed);
    }

    /// <summary>All that may be done to a path.</summary>
    public PathAccess Allowed(ReadOnlySpan<byte> path)
    {
        var all = PathAccess.None;
        for (int column = 0; column < PathTables.AccessCount; column++)
            if (Decide(path, (PathAccess)(1 << column)).Allowed)
                all |= (PathAccess)(1 << column);
        return all;
    }

    /// <summary>
    /// True when every path below the one is decided as that below the other. May say false of some that are.
    /// </summary>
    public bool AreAlikeBelow(ReadOnlySpan<byte> path, ReadOnlySpan<byte> other)
    {
        Span<int> one = stackalloc int[PathTables.DecisionWidth], two = stackalloc int[PathTables.DecisionWidth];
        return Below(path, one) == Below(other, two) && one.SequenceEqual(two);
    }

    /// <summary>All that decides about paths below: the state, what is shown, and the rules that hold by now.</summary>
    (int State, int Shown) Below(ReadOnlySpan<byte> path, Span<int> row)
    {
        row.Fill(Verdict.NoRule);
        int state = _tables.Start, shown = Verdict.NoRule;
        int at = 1;
        while (state != PathTables.Dead)
        {
            Merge(_tables.Tails[state], row);
            if (_tables.Shown[state] >= 0)
                shown = _tables.Shown[state];
            if (at >= path.Length)
                break;
            state = Next(state, path, ref at);
        }

        return (state, shown);
    }

    /// <summary>Adds a row to what holds already.</summary>
    public void Merge(int row, Span<int> holding)
    {
        for (int column = 0; column < PathTables.DecisionWidth; column++)
            holding[column] = Lower(holding[column], _tables.Decisions[row * PathTables.DecisionWidth + column]);
    }

    /// <summary>Takes the name at a place of a path.</summary>
    int Next(int state, ReadOnlySpan<byte> path, ref int at)
    {
        int length = path[at..].IndexOf((byte)'/');
        ReadOnlySpan<byte> name = length < 0 ? path[at..] : path.Slice(at, length);
        at += name.Length + 1;
        int symbol = SymbolOf(name);
        return Step(state, symbol, _tables.Classes[symbol]);
    }

    /// <summary>The symbol of a name.</summary>
    public int SymbolOf(ReadOnlySpan<byte> name)
    {
        int[] names = _tables.Names;
        int place = (int)PathTables.Hash(name) & (_namePlaces - 1);
        for (; names[3 * place + 1] != 0; place = (place + 1) & (_namePlaces - 1))
            if (names[3 * place + 1] == name.Length
                && name.SequenceEqual(_tables.NameBytes.AsSpan(names[3 * place], name.Length)))
                return names[3 * place + 2];
        if (_tables.WildcardSymbols.Length == 1)
            return _tables.WildcardSymbols[0];
        int state = 0;
        foreach (byte b in name)
            state = _tables.WildcardSteps[state * _tables.ColumnCount + _tables.Columns[b]];
        return _tables.WildcardSymbols[state];
    }

    /// <summary>Where a symbol leads.</summary>
    /// <param name="set">The symbol's class.</param>
    public int Step(int state, int symbol, int set)
    {
        while (state != PathTables.Dead)
        {
            int next = Edge(state, symbol);
            if (next == NoEdge && set != symbol)
                next = Edge(state, set);
            if (next != NoEdge)
                return next;
            int below = _tables.Bases[state];
            if (below == state)
                return state;
            state = below;
        }

        return PathTables.Dead;
    }

    const int NoEdge = -2;

    int Edge(int state, int symbol)
    {
        int[] edges = _tables.Edges;
        for (int place = PathTables.EdgePlace(state, symbol, _edgePlaces); ; place = (place + 1) & (_edgePlaces - 1))
        {
            int owner = edges[3 * place];
            if (owner == state && edges[3 * place + 1] == symbol)
                return edges[3 * place + 2];
            if (owner < 0)
                return NoEdge;
        }
    }
}
