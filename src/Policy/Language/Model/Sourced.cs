namespace Sandbox.Policy.Language;

/// <summary>A value, where it was written, and why.</summary>
public sealed record Sourced<T>(T Value, SourceSpan Span, string? Because);

/// <summary>Whatever of a policy can decide something: it has a place and, one hopes, a reason.</summary>
public interface IRule
{
    SourceSpan Span { get; }

    string? Because { get; }

    /// <summary>The rule in one line.</summary>
    string Text { get; }
}
