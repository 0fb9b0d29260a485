using System.Numerics;

namespace Sandbox.Policy.Contract;

/// <summary>What well-formed tables keep to, so that deciding needs no checks of its own.</summary>
static class PathTablesCheck
{
    public static void Check(PathTables tables)
    {
        int states = tables.Bases.Length;
        int symbols = tables.Classes.Length;
        Require(tables.Rows.Length == states && tables.Decisions.Length % PathTables.DecisionWidth == 0, "states");
        int rows = tables.Decisions.Length / PathTables.DecisionWidth;
        Require(tables.Start >= 0 && tables.Start < states, "start");
        Require(tables.Tails.Length == states && tables.Shown.Length == states && tables.ShownExactly.Length == states,
            "states");
        foreach (int row in tables.Rows.Concat(tables.Tails))
            Require((uint)row < (uint)rows, "row");
        foreach (int shown in tables.Shown.Concat(tables.ShownExactly))
            Require(shown >= Verdict.NoRule && shown < tables.ShownAccess.Length, "shown");
        foreach (int rule in tables.Decisions)
            Require(rule >= Verdict.NoRule, "rule");
        CheckBases(tables.Bases);
        foreach (int set in tables.Classes)
            Require((uint)set < (uint)symbols, "class");
        CheckPlaces(tables.Edges, "edges", free: place => tables.Edges[place] < 0, place =>
            tables.Edges[place] < states && (uint)tables.Edges[place + 1] < (uint)symbols
            && tables.Edges[place + 2] >= PathTables.Dead && tables.Edges[place + 2] < states);
        CheckPlaces(tables.Names, "names", free: place => tables.Names[place + 1] == 0, place =>
            tables.Names[place] >= 0 && tables.Names[place + 1] > 0
            && (long)tables.Names[place] + tables.Names[place + 1] <= tables.NameBytes.Length
            && (uint)tables.Names[place + 2] < (uint)symbols);
        CheckWildcards(tables, symbols);
    }

    // Each base is its own base or none, so that looking for an edge ends after two states.
    static void CheckBases(int[] bases)
    {
        foreach (int below in bases)
            Require(below == PathTables.Dead || ((uint)below < (uint)bases.Length && bases[below] == below), "base");
    }

    static void CheckPlaces(int[] table, string what, Func<int, bool> free, Func<int, bool> good)
    {
        int places = table.Length / 3;
        Require(table.Length % 3 == 0 && BitOperations.IsPow2(places), what);
        bool any = false;
        for (int place = 0; place < table.Length; place += 3)
        {
            any |= free(place);
            Require(free(place) || good(place), what);
        }

        // A search ends at a free place.
        Require(any, what);
    }

    static void CheckWildcards(PathTables tables, int symbols)
    {
        int states = tables.WildcardSymbols.Length;
        Require(tables.Columns.Length == 256 && tables.ColumnCount > 0, "columns");
        foreach (byte column in tables.Columns)
            Require(column < tables.ColumnCount, "column");
        Require(states > 0 && tables.WildcardSteps.Length == (long)states * tables.ColumnCount, "wildcards");
        foreach (int next in tables.WildcardSteps)
            Require((uint)next < (uint)states, "wildcard step");
        foreach (int symbol in tables.WildcardSymbols)
            Require((uint)symbol < (uint)symbols, "wildcard symbol");
    }

    static void Require(bool condition, string what)
    {
        if (!condition)
            throw new PlanException("path rules: " + what);
    }
}
