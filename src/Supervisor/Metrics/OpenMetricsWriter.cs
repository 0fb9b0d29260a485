using System.Globalization;
using System.Text;

namespace Sandbox.Supervisor.Metrics;

/// <summary>
/// Text as OpenMetrics 1.0 has it (application/openmetrics-text; version=1.0.0). Numbers are exact: counts are 64 bits,
/// and times are written from whole nanoseconds, where a library's doubles would round them.
/// </summary>
/// <param name="labels">Of every sample, in front of its own.</param>
sealed class OpenMetricsWriter(params (string Name, string Value)[] labels)
{
    readonly StringBuilder _text = new(4096);

    /// <summary>Begins a family: its samples follow, before any other's.</summary>
    public void Begin(MetricFamily family)
    {
        _text.Append("# TYPE ").Append(family.Name).Append(' ').Append(Word(family.Type)).Append('\n');
        if (family.Unit.Length > 0)
            _text.Append("# UNIT ").Append(family.Name).Append(' ').Append(family.Unit).Append('\n');
        _text.Append("# HELP ").Append(family.Name).Append(' ');
        Escape(family.Help);
        _text.Append('\n');
    }

    /// <param name="number">As <see cref="Number"/> and <see cref="Seconds"/> write it.</param>
    public void Sample(string name, string number, params ReadOnlySpan<(string Name, string Value)> more)
    {
        _text.Append(name).Append('{');
        int count = 0;
        foreach ((string label, string value) in labels)
            Label(label, value, ref count);
        foreach ((string label, string value) in more)
            Label(label, value, ref count);
        _text.Append("} ").Append(number).Append('\n');
    }

    void Label(string name, string value, ref int count)
    {
        if (count++ > 0)
            _text.Append(',');
        _text.Append(name).Append("=\"");
        Escape(value);
        _text.Append('"');
    }

    // The three that the format escapes. Other control characters would be legal; a terminal must not get them.
    void Escape(string text)
    {
        foreach (char c in text)
            _ = c switch
            {
                '\\' => _text.Append("\\\\"),
                '"' => _text.Append("\\\""),
                '\n' => _text.Append("\\n"),
                _ when char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029' => _text.Append('\ufffd'),
                _ => _text.Append(c),
            };
    }

    /// <summary>All of it, with its end.</summary>
    public string Finish() => _text.Append("# EOF\n").ToString();

    public static string Number(ulong value) => value.ToString(CultureInfo.InvariantCulture);

    /// <summary>Every digit, and no zeroes at the end.</summary>
    public static string Seconds(ulong nanoseconds)
    {
        (ulong seconds, ulong rest) = Math.DivRem(nanoseconds, 1_000_000_000UL);
        return string.Create(CultureInfo.InvariantCulture, $"{seconds}.{rest:D9}").TrimEnd('0') is var text
            && text.EndsWith('.')
            ? text + "0"
            : text;
    }

    public static string Word(MetricType type) => type switch
    {
        MetricType.Counter => "counter",
        MetricType.Gauge => "gauge",
        MetricType.Summary => "summary",
        MetricType.Info => "info",
        _ => "stateset",
    };
}
