using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>Compiles system-call rules to a table by number.</summary>
public static class SystemCallCompiler
{
    public static SystemCallTables Compile(IReadOnlyList<SystemCallRule> rules)
    {
        var byNumber = new List<int>[SystemCallTables.Limit];
        // Denies first: one that holds overrides every allow.
        foreach (int rule in Enumerable.Range(0, rules.Count).OrderBy(rule => rules[rule].Allow ? 1 : 0))
            foreach (int number in rules[rule].Numbers)
                (byNumber[number] ??= []).Add(rule);
        var offsets = new List<int> { 0 };
        var entries = new List<int>();
        var answers = new List<int>();
        var conditionOffsets = new List<int> { 0 };
        var conditions = new List<ulong>();
        foreach (List<int>? list in byNumber)
        {
            foreach (int rule in list ?? [])
            {
                entries.Add(rule);
                answers.Add(rules[rule].Allow ? SystemCallTables.Allow : rules[rule].Answer);
                foreach (ArgumentCondition condition in rules[rule].Conditions)
                    conditions.AddRange(
                        [(ulong)condition.Argument, condition.Mask, (ulong)condition.Comparison, condition.Value]);
                conditionOffsets.Add(conditions.Count / 4);
                // Nothing behind an entry without conditions can decide.
                if (rules[rule].Conditions.Count == 0)
                    break;
            }

            offsets.Add(entries.Count);
        }

        return new SystemCallTables
        {
            Offsets = [.. offsets],
            Rules = [.. entries],
            Answers = [.. answers],
            ConditionOffsets = [.. conditionOffsets],
            Conditions = [.. conditions],
        };
    }
}
