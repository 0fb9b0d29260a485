using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Compares the system-call rules of two policies. Calls that the same rules are about are compared once: which rule
/// decides is a function of the bits of the arguments, for each policy, and both are walked together.
/// </summary>
sealed class SystemCallComparison
{
    readonly CompiledPolicy _old;
    readonly CompiledPolicy _new;
    readonly RegionReport _report;
    readonly EndingReport _endingReport;
    readonly DecisionDiagram _diagram = new();
    readonly Dictionary<ArgumentCondition, int> _conditions = [];

    SystemCallComparison(CompiledPolicy old, CompiledPolicy @new, RegionReport report, EndingReport endingReport)
    {
        _endingReport = endingReport;
        _old = old;
        _new = @new;
        _report = report;
    }

    /// <returns>False when the conditions are too entangled: then differences may be missed.</returns>
    public static bool Compare(CompiledPolicy old, CompiledPolicy @new, RegionReport report, EndingReport endingReport)
    {
        var comparison = new SystemCallComparison(old, @new, report, endingReport);
        foreach (IGrouping<int, int> calls in comparison.Groups())
        {
            int before = comparison.DecisionsOn(old, calls.First()),
                after = comparison.DecisionsOn(@new, calls.First());
            comparison._diagram.ForEachPair(before, after, (_, _, arguments) => comparison.Compare(calls, arguments));
        }

        return !comparison._diagram.IsTooLarge;
    }

    /// <summary>The rules that decide any call.</summary>
    /// <param name="undecided">Calls of which it cannot be told; all rules about them are among the result.</param>
    public static HashSet<int> RulesThatDecide(CompiledPolicy policy, out IReadOnlyList<int> undecided)
    {
        var rules = new HashSet<int>();
        var missed = new List<int>();
        var comparison =
            new SystemCallComparison(policy, policy, static (_, _, _, _) => { }, static (_, _, _, _) => { });
        SystemCallTables tables = policy.SystemCallTables;
        foreach (IGrouping<int, int> calls in comparison.Groups())
        {
            int number = calls.First(), decisions = comparison.DecisionsOn(policy, number);
            comparison._diagram.ForEachPair(decisions, decisions, (entry, _, _) =>
            {
                if (entry > 0)
                    rules.Add(tables.Rules[tables.Offsets[number] + entry - 1]);
            });
            if (!comparison._diagram.IsTooLarge)
                continue;
            rules.UnionWith(calls.SelectMany(call => tables.Rules[tables.Offsets[call]..tables.Offsets[call + 1]]));
            missed.AddRange(calls);
        }

        undecided = missed;
        return rules;
    }

    /// <summary>Calls by the rules that are about them; those without any are one group.</summary>
    IEnumerable<IGrouping<int, int>> Groups()
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

        return Enumerable.Range(0, SystemCallTables.Limit).GroupBy(number => groups[number]);
    }

    /// <summary>Which entry decides about a call: from 1 in their order, and 0 for none.</summary>
    int DecisionsOn(CompiledPolicy policy, int number)
    {
        SystemCallTables tables = policy.SystemCallTables;
        int first = tables.Offsets[number], decisions = DecisionDiagram.End(0);
        // The last first: each overrides those behind it.
        for (int entry = tables.Offsets[number + 1] - 1; entry >= first && !_diagram.IsTooLarge; entry--)
        {
            int holds = DecisionDiagram.True;
            for (int i = tables.ConditionOffsets[entry]; i < tables.ConditionOffsets[entry + 1]; i++)
                holds = _diagram.And(DiagramOf(tables.Conditions.AsSpan(4 * i, 4)), holds);
            decisions = _diagram.Override(holds, DecisionDiagram.End(1 + entry - first), decisions);
        }

        return decisions;
    }

    int DiagramOf(ReadOnlySpan<ulong> four)
    {
        var condition = new ArgumentCondition((int)four[0], four[1], (Comparison)four[2], four[3]);
        if (!_conditions.TryGetValue(condition, out int diagram))
            _conditions.Add(condition, diagram = _diagram.Of(condition));
        return diagram;
    }

    void Compare(IEnumerable<int> calls, ulong[] arguments)
    {
        var first = (uint)calls.First();
        SystemCallVerdict before = _old.SystemCalls.Decide(first, arguments),
            after = _new.SystemCalls.Decide(first, arguments);
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
}
