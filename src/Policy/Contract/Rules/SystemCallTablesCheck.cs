namespace Sandbox.Policy.Contract;

/// <summary>What well-formed tables keep to, so that deciding needs no checks of its own.</summary>
static class SystemCallTablesCheck
{
    public static void Check(SystemCallTables tables)
    {
        int entries = tables.Rules.Length;
        Require(tables.Offsets.Length == SystemCallTables.Limit + 1 && Ascends(tables.Offsets, entries), "numbers");
        Require(tables.Answers.Length == entries && tables.Answers.All(
            answer => answer is >= SystemCallTables.Allow and < 4096), "answers");
        Require(tables.Conditions.Length % 4 == 0, "conditions");
        for (int i = 0; i < tables.Conditions.Length; i += 4)
            Require(
                tables.Conditions[i] <= 5 && tables.Conditions[i + 2] <= (ulong)Comparison.GreaterOrEqual, "condition");
        Require(tables.ConditionOffsets.Length == entries + 1
            && Ascends(tables.ConditionOffsets, tables.Conditions.Length / 4), "condition offsets");
    }

    static bool Ascends(int[] offsets, int end)
    {
        bool good = offsets[0] == 0 && offsets[^1] == end;
        for (int i = 1; i < offsets.Length; i++)
            good &= offsets[i] >= offsets[i - 1];
        return good;
    }

    static void Require(bool condition, string what)
    {
        if (!condition)
            throw new PlanException("system call rules: " + what);
    }
}
