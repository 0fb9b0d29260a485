namespace Sandbox.Policy.Language;

/// <summary>Findings in the order they were made, bounded: a hostile file does not fill the terminal.</summary>
public sealed class Diagnostics
{
    public const int Maximum = 200;

    readonly List<Diagnostic> _list = [];

    public IReadOnlyList<Diagnostic> List => _list;

    /// <summary>Findings that came after the bound was reached.</summary>
    public int Dropped { get; private set; }

    public bool HasErrors { get; private set; }

    public void Add(DiagnosticKind kind, SourceSpan span, string message, string? advice = null)
    {
        HasErrors |= kind.Severity == Severity.Error;
        if (_list.Count < Maximum)
            _list.Add(new Diagnostic(kind, span, message, advice));
        else
            Dropped++;
    }
}
