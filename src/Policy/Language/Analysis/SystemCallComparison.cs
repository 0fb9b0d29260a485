using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Compares the system-call rules of two policies. For each argument that conditions look at, one value for each
/// region between the values that they compare with; then every combination.
/// </summary>
static class SystemCallComparison
{
    const int MaximumValues = 2_000;
    const long MaximumCombinations = 200_000;

    /// <returns>False when a call has conditions whose masks overlap, or too many: then differences may be missed.</returns>
    public static bool Compare(CompiledPolicy old, CompiledPolicy @new, RegionReport report)
    {
        bool exact = true;
        for (int number = 0; number < SystemCallTables.Limit; number++)
        {
            ArgumentCondition[] conditions = [.. ConditionsOn(old, number).Concat(ConditionsOn(@new, number)).Distinct()];
            var values = new ulong[6][];
            long combinations = 1;
            for (int argument = 0; argument < 6; argument++)
            {
                exact &= TryValues([.. conditions.Where(condition => condition.Argument == argument)], out values[argument]);
                combinations *= values[argument].Length;
            }

            if (combinations > MaximumCombinations)
            {
                exact = false;
                continue;
            }

            for (long combination = 0; combination < combinations; combination++)
                Report(old, @new, number, values, combination, report);
        }

        return exact;
    }

    static void Report(CompiledPolicy old, CompiledPolicy @new, int number, ulong[][] values, long combination, RegionReport report)
    {
        var arguments = new ulong[6];
        for (int argument = 0; argument < 6; argument++)
        {
            arguments[argument] = values[argument][combination % values[argument].Length];
            combination /= values[argument].Length;
        }

        int last = Array.FindLastIndex(arguments, argument => argument != 0);
        var request = new Request.SystemCall(number, arguments[..(last + 1)]);
        report(Ask.About(old, request), Ask.About(@new, request), $"call {number}", request.ToString);
    }

    static IEnumerable<ArgumentCondition> ConditionsOn(CompiledPolicy policy, int number) =>
        policy.Model.SystemCallRules.Where(rule => rule.Conditions.Count > 0 && rule.Numbers.Contains(number)).SelectMany(rule => rule.Conditions);

    static bool TryValues(ArgumentCondition[] conditions, out ulong[] values)
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

        bool hasNarrow = narrow.Count > 1;
        var all = new SortedSet<ulong>(wide);
        if (hasNarrow)
            foreach (ulong high in wide.Select(value => value >> 32).Append(1UL).ToArray())
                all.UnionWith(narrow.Select(low => high << 32 | low));
        // A mask by itself, compared for equality, has two regions for each value.
        bool exact = masked.Count == 0 || (wide.Count == 1 && !hasNarrow && masked.All(condition =>
            condition.Comparison is Comparison.Equal or Contract.Comparison.NotEqual
            && masked.All(other => other.Mask == condition.Mask || (other.Mask & condition.Mask) == 0)));
        foreach (ArgumentCondition condition in masked)
            foreach (ulong value in all.ToArray())
            {
                all.Add((value & ~condition.Mask) | condition.Value);
                all.Add((value & ~condition.Mask) | (Another(masked, condition) & condition.Mask));
                if (all.Count > MaximumValues)
                {
                    values = [0];
                    return false;
                }
            }

        values = [.. all];
        return exact;
    }

    /// <summary>Bits that no condition with the same mask compares with; all of a mask's values may be taken.</summary>
    static ulong Another(List<ArgumentCondition> masked, ArgumentCondition condition)
    {
        var taken = masked.Where(other => other.Mask == condition.Mask).Select(other => other.Value).ToHashSet();
        // Counts through the mask's own bits.
        for (ulong bits = 0; ; bits = (bits - condition.Mask) & condition.Mask)
        {
            if (!taken.Contains(bits))
                return bits;
            if (((bits - condition.Mask) & condition.Mask) == 0)
                return condition.Value;
        }
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
