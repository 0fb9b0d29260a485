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

    /// <exception cref="FormatException">An index in the tables leads outside them.</exception>
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
        int row = Find(path);
        if (row < 0)
            return Verdict.Unmatched;
        int column = BitOperations.TrailingZeroCount((int)access);
        if ((uint)column >= PathTables.AccessCount)
            return Verdict.Unmatched;
        int denied = _tables.Decisions[row + column];
        if (denied >= 0)
            return new Verdict(false, denied);
        int allowed = _tables.Decisions[row + PathTables.AccessCount + column];
        return new Verdict(allowed >= 0, allowed);
    }

    /// <summary>All that may be done to a path.</summary>
    public PathAccess Allowed(ReadOnlySpan<byte> path)
    {
        int row = Find(path);
        var all = PathAccess.None;
        for (int column = 0; row >= 0 && column < PathTables.AccessCount; column++)
            if (_tables.Decisions[row + column] < 0 && _tables.Decisions[row + PathTables.AccessCount + column] >= 0)
                all |= (PathAccess)(1 << column);
        return all;
    }

    /// <summary>True when every path below the one is decided as that below the other. May say false of some that are.</summary>
    public bool AreAlikeBelow(ReadOnlySpan<byte> path, ReadOnlySpan<byte> other) => StateAt(path) == StateAt(other);

    /// <summary>Where the decisions for a path begin, or a negative number when no rule matches.</summary>
    int Find(ReadOnlySpan<byte> path)
    {
        int state = StateAt(path);
        return state == PathTables.Dead ? -1 : _tables.Rows[state] * PathTables.DecisionWidth;
    }

    int StateAt(ReadOnlySpan<byte> path)
    {
        int state = _tables.Start;
        int at = 1;
        while (at < path.Length && state != PathTables.Dead)
        {
            int length = path[at..].IndexOf((byte)'/');
            ReadOnlySpan<byte> name = length < 0 ? path[at..] : path.Slice(at, length);
            at += name.Length + 1;
            int symbol = SymbolOf(name);
            state = Step(state, symbol, _tables.Classes[symbol]);
        }

        return state;
    }

    /// <summary>The symbol of a name.</summary>
    public int SymbolOf(ReadOnlySpan<byte> name)
    {
        int[] names = _tables.Names;
        int place = (int)PathTables.Hash(name) & (_namePlaces - 1);
        for (; names[3 * place + 1] != 0; place = (place + 1) & (_namePlaces - 1))
            if (names[3 * place + 1] == name.Length && name.SequenceEqual(_tables.NameBytes.AsSpan(names[3 * place], name.Length)))
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
