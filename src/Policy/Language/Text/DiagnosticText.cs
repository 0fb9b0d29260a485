using System.Text;

namespace Sandbox.Policy.Language;

/// <summary>
/// A finding as people read it: file:line:column, the sentence, the offending line and a caret under it.
/// </summary>
public static class DiagnosticText
{
    /// <summary>Longer lines are shown from near the finding.</summary>
    const int MaximumLine = 160;

    public static void Write(StringBuilder text, Diagnostic diagnostic)
    {
        SourceSpan span = diagnostic.Span;
        string severity = diagnostic.Kind.Severity == Severity.Error ? "error" : "warning";
        text.Append($"{span}: {severity}: {diagnostic.Message}");
        if (diagnostic.Advice is not null)
            text.Append($"; {diagnostic.Advice}");
        text.Append($" [{diagnostic.Kind.Name}]\n");
        WriteLine(text, span);
    }

    /// <summary>The line with a caret under the span.</summary>
    public static void WriteLine(StringBuilder text, SourceSpan span)
    {
        ReadOnlySpan<char> line = span.Text.Line(span.Line);
        if (line.IsEmpty)
            return;
        int column = Math.Clamp(span.Column - 1, 0, line.Length);
        int start = column > MaximumLine / 2 ? column - MaximumLine / 2 : 0;
        ReadOnlySpan<char> shown = line[start..Math.Min(line.Length, start + MaximumLine)];
        string number = $"{span.Line,6}";
        text.Append(number).Append(" | ");
        Append(text, shown);
        text.Append('\n').Append(' ', number.Length).Append(" | ");
        int length = Math.Clamp(span.Length, 1, Math.Max(1, shown.Length - (column - start)));
        text.Append(' ', column - start).Append('^').Append('~', length - 1).Append('\n');
    }

    // One column for each character, whatever it is, so that the caret stands right.
    static void Append(StringBuilder text, ReadOnlySpan<char> line)
    {
        foreach (char c in line)
            text.Append(char.IsControl(c) || c is '\u2028' or '\u2029' ? ' ' : c);
    }
}
