namespace Sandbox.Policy.Contract;

/// <summary>
/// System-call rules as they travel in the plan: by number, denies before allows, each with its conditions.
/// </summary>
public sealed record SystemCallTables
{
    /// <summary>Numbers that rules can be about; calls above are denied.</summary>
    public const int Limit = 512;

    /// <summary>Of <see cref="Answers"/>: the call is served.</summary>
    public const int Allow = -1;

    /// <summary>Of <see cref="Answers"/>: the guest ends. Everything above is an errno.</summary>
    public const int Kill = 0;

    /// <summary>By number, and one more: where its entries begin in the lists below.</summary>
    public required int[] Offsets { get; init; }

    /// <summary>By entry: the rule it comes from.</summary>
    public required int[] Rules { get; init; }

    public required int[] Answers { get; init; }

    /// <summary>By entry, and one more: where its conditions begin.</summary>
    public required int[] ConditionOffsets { get; init; }

    /// <summary>Four numbers each: argument, mask, comparison, value.</summary>
    public required ulong[] Conditions { get; init; }
}

/// <param name="Answer">What a denied call answers: an errno, or <see cref="SystemCallTables.Kill"/>.</param>
public readonly record struct SystemCallVerdict(bool Allowed, int Rule, int Answer);

/// <summary>Decides about system calls. No allocation, no lock; time grows with the rules on one number.</summary>
public sealed class SystemCallRules
{
    /// <summary>EPERM, for calls that no rule is about.</summary>
    const int DefaultAnswer = 1;

    readonly SystemCallTables _tables;
    readonly ArgumentCondition[] _conditions;

    /// <exception cref="PlanException">An index in the tables leads outside them.</exception>
    public SystemCallRules(SystemCallTables tables)
    {
        SystemCallTablesCheck.Check(tables);
        _tables = tables;
        _conditions = new ArgumentCondition[tables.Conditions.Length / 4];
        for (int i = 0; i < _conditions.Length; i++)
        {
            ReadOnlySpan<ulong> four = tables.Conditions.AsSpan(4 * i, 4);
            _conditions[i] = new ArgumentCondition((int)four[0], four[1], (Comparison)four[2], four[3]);
        }
    }

    /// <param name="arguments">All six registers.</param>
    public SystemCallVerdict Decide(uint number, ReadOnlySpan<ulong> arguments)
    {
        if (number >= SystemCallTables.Limit)
            return new SystemCallVerdict(false, Verdict.NoRule, DefaultAnswer);
        int end = _tables.Offsets[number + 1];
        for (int entry = _tables.Offsets[number]; entry < end; entry++)
        {
            if (!Hold(entry, arguments))
                continue;
            int answer = _tables.Answers[entry];
            return answer == SystemCallTables.Allow
                ? new SystemCallVerdict(true, _tables.Rules[entry], 0)
                : new SystemCallVerdict(false, _tables.Rules[entry], answer);
        }

        return new SystemCallVerdict(false, Verdict.NoRule, DefaultAnswer);
    }

    bool Hold(int entry, ReadOnlySpan<ulong> arguments)
    {
        int end = _tables.ConditionOffsets[entry + 1];
        for (int i = _tables.ConditionOffsets[entry]; i < end; i++)
            if (!_conditions[i].Holds(arguments[_conditions[i].Argument]))
                return false;
        return true;
    }
}
