namespace Sandbox.Policy.Language;

/// <summary>A place in a policy file. It stays with what was read there, from the parser to the decision.</summary>
/// <param name="Line">From 1.</param>
/// <param name="Column">From 1, in UTF-16 units, as editors and SARIF count.</param>
/// <param name="Length">UTF-16 units on that line; at least 1.</param>
public readonly record struct SourceSpan(SourceText Text, int Line, int Column, int Length)
{
    /// <summary>file:line:column.</summary>
    public override string ToString() => $"{Text.Name}:{Line}:{Column}";
}
