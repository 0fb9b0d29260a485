using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Compares the system-call rules of two policies. Calls that the same rules are about are compared once: for each
/// argument that conditions look at, one value for each region between the values that they compare with; then every
/// combination.
/// </summary>
sealed class SystemCallComparison
{
    const int MaximumValues = 1_000;

    /// <summary>Conditions that are looked at, all calls together: half a second of them.</summary>
    const long MaximumWork = 20_000_000;

    /// <summary>What one more value costs, in conditions.</summary>
    const int ValueWork = 10;

    readonly CompiledPolicy _old;
    readonly CompiledPolicy _new;
    readonly RegionReport _report;
    readonly EndingReport _endingReport;
    long _work;

    SystemCallComparison(CompiledPolicy old, CompiledPolicy @new, RegionReport report, EndingReport endingReport)
    {
        _endingReport = endingReport;
        _old = old;
        _new = @new;
        _report = report;
    }

    /// <returns>False when a call has conditions whose masks overlap, or too many: then differences may be missed.</returns>
    public static bool Compare(CompiledPolicy old, CompiledPolicy @new, RegionReport report, EndingReport endingReport)
    {
        var comparison = new SystemCallComparison(old, @new, report, endingReport);
        int[] groups = comparison.Groups();
        bool exact = true;
        foreach (IGrouping<int, int> calls in Enumerable.Range(0, SystemCallTables.Limit).GroupBy(number => groups[number]))
            exact &= comparison.ForEachRegion(calls.First(), arguments => comparison.Compare(calls, arguments));
        return exact;
    }

    /// <summary>The rules that decide any call. Of calls that cannot be compared exactly, all that are about them.</summary>
    public static HashSet<int> RulesThatDecide(CompiledPolicy policy)
    {
        var rules = new HashSet<int>();
        var comparison = new SystemCallComparison(policy, policy, static (_, _, _, _) => { }, static (_, _, _, _) => { });
        int[] groups = comparison.Groups();
        foreach (int number in Enumerable.Range(0, SystemCallTables.Limit).DistinctBy(number => groups[number]))
        {
            SystemCallTables tables = policy.SystemCallTables;
            if (!comparison.ForEachRegion(number, arguments => rules.Add(policy.SystemCalls.Decide((uint)number, arguments).Rule)))
                rules.UnionWith(tables.Rules.AsSpan(tables.Offsets[number]..tables.Offsets[number + 1]).ToArray());
        }

        rules.Remove(Verdict.NoRule);
        return rules;
    }

    /// <summary>By number: calls that the same rules are about have the same one.</summary>
    int[] Groups()
    {
        int[] groups = new int[SystemCallTables.Limit];
        int last = 0;
        foreach (SystemCallRule rule in _old.Model.SystemCallRules.Concat(_new.Model.SystemCallRules))
        {
            var split = new Dictionary<int, int>();
            foreach (int number in rule.Numbers.Where(number => number < groups.Length))
            {
                if (!split.TryGetValue(groups[number], out int group))
                    split.Add(groups[number], group = ++last);
                groups[number] = group;
            }
        }

        return groups;
    }

    /// <summary>Shows arguments of each region in which both policies decide alike about a call.</summary>
    /// <returns>False when there are too many, or some may be missing.</returns>
    bool ForEachRegion(int number, Action<ulong[]> visit)
    {
        List<ArgumentCondition> before = ConditionsOn(_old, number), after = ConditionsOn(_new, number);
        var conditions = before.Union(after).ToLookup(condition => condition.Argument);
        bool exact = true;
        ulong[][] values = new ulong[6][];
        long combinations = 1;
        for (int argument = 0; argument < values.Length; argument++)
        {
            exact &= TryValues([.. conditions[argument]], out values[argument]);
            combinations = Math.Min(combinations * values[argument].Length, MaximumWork);
        }

        _work += combinations * (1 + before.Count + after.Count);
        if (_work > MaximumWork)
            return false;
        ulong[] arguments = new ulong[6];
        for (long combination = 0; combination < combinations; combination++)
        {
            long rest = combination;
            for (int argument = 0; argument < arguments.Length; argument++)
            {
                arguments[argument] = values[argument][rest % values[argument].Length];
                rest /= values[argument].Length;
            }

            visit(arguments);
        }

        return exact;
    }

    void Compare(IEnumerable<int> calls, ulong[] arguments)
    {
        var first = (uint)calls.First();
        SystemCallVerdict before = _old.SystemCalls.Decide(first, arguments), after = _new.SystemCalls.Decide(first, arguments);
        bool ended = Ends(before), ends = Ends(after);
        if (before.Allowed == after.Allowed && ended == ends)
            return;
        int last = Array.FindLastIndex(arguments, argument => argument != 0);
        foreach (int number in calls)
        {
            var request = new Request.SystemCall(number, arguments[..(last + 1)]);
            Decision old = Ask.About(_old, request), @new = Ask.About(_new, request);
            if (before.Allowed == after.Allowed)
                _endingReport(old, @new, ends, request.ToString);
            else
                _report(old, @new, $"call {number}", request.ToString);
        }
    }

    static bool Ends(SystemCallVerdict verdict) => !verdict.Allowed && verdict.Answer == SystemCallTables.Kill;

    static List<ArgumentCondition> ConditionsOn(CompiledPolicy policy, int number)
    {
        SystemCallTables tables = policy.SystemCallTables;
        var conditions = new List<ArgumentCondition>();
        int first = tables.ConditionOffsets[tables.Offsets[number]], end = tables.ConditionOffsets[tables.Offsets[number + 1]];
        for (int i = first; i < end; i++)
        {
            ReadOnlySpan<ulong> four = tables.Conditions.AsSpan(4 * i, 4);
            conditions.Add(new ArgumentCondition((int)four[0], four[1], (Comparison)four[2], four[3]));
        }

        return conditions;
    }

    bool TryValues(ArgumentCondition[] conditions, out ulong[] values)
    {
        var wide = new SortedSet<ulong> { 0 };
        var narrow = new SortedSet<ulong> { 0 };
        var masked = new List<ArgumentCondition>();
        foreach (ArgumentCondition condition in conditions)
        {
            SortedSet<ulong>? bounds = condition.Mask switch { ulong.MaxValue => wide, uint.MaxValue => narrow, _ => null };
            if (bounds is null)
                masked.Add(condition);
            else
                AddAround(bounds, condition.Value, condition.Mask);
        }

        values = [0];
        bool hasNarrow = narrow.Count > 1;
        var all = new SortedSet<ulong>(wide);
        if (hasNarrow)
        {
            ulong[] highs = [.. wide.Select(value => value >> 32).Append(1UL).Distinct()];
            if (!Take(all.Count + (long)highs.Length * narrow.Count))
                return false;
            foreach (ulong high in highs)
                all.UnionWith(narrow.Select(low => high << 32 | low));
        }

        // A mask by itself, compared for equality, has two regions for each value.
        bool exact = masked.Count == 0
            || (wide.Count == 1 && !hasNarrow && AreApart(masked)
                && masked.TrueForAll(condition => condition.Comparison is Comparison.Equal or Comparison.NotEqual));
        Dictionary<ulong, ulong> others = masked.GroupBy(condition => condition.Mask).ToDictionary(same => same.Key, Another);
        foreach (ArgumentCondition condition in masked)
        {
            foreach (ulong value in all.ToArray())
            {
                all.Add((value & ~condition.Mask) | condition.Value);
                all.Add((value & ~condition.Mask) | others[condition.Mask]);
            }

            if (!Take(all.Count))
                return false;
        }

        values = [.. all];
        return exact;
    }

    /// <summary>Whether so many values can be had.</summary>
    bool Take(long values)
    {
        _work += values * ValueWork;
        return values <= MaximumValues && _work <= MaximumWork;
    }

    /// <summary>No two masks look at the same bit, but for equal ones.</summary>
    static bool AreApart(List<ArgumentCondition> masked)
    {
        ulong seen = 0;
        foreach (ulong mask in masked.Select(condition => condition.Mask).Distinct())
        {
            if ((seen & mask) != 0)
                return false;
            seen |= mask;
        }

        return true;
    }

    /// <summary>Bits that no condition with the same mask compares with; all of a mask's values may be taken.</summary>
    static ulong Another(IGrouping<ulong, ArgumentCondition> same)
    {
        var taken = same.Select(condition => condition.Value).ToHashSet();
        // Counts through the mask's own bits.
        for (ulong bits = 0; ; bits = (bits - same.Key) & same.Key)
            if (!taken.Contains(bits) || ((bits - same.Key) & same.Key) == 0)
                return bits;
    }

    static void AddAround(SortedSet<ulong> bounds, ulong value, ulong most)
    {
        bounds.Add(value);
        bounds.Add(most);
        if (value > 0)
            bounds.Add(value - 1);
        if (value < most)
            bounds.Add(value + 1);
    }
}
