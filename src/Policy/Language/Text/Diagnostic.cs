namespace Sandbox.Policy.Language;

public enum Severity
{
    /// <summary>The policy is right, and something about it deserves a second look.</summary>
    Warning,

    /// <summary>The policy cannot be used.</summary>
    Error,
}

/// <summary>One thing that is wrong with, or remarkable about, a policy.</summary>
/// <param name="Span">Where; its text is shown with the message.</param>
/// <param name="Message">A sentence without its full stop: what is wrong.</param>
/// <param name="Advice">What to do; null when the message says it all.</param>
public sealed record Diagnostic(DiagnosticKind Kind, SourceSpan Span, string Message, string? Advice = null);
