using System.Globalization;
using System.Text.RegularExpressions;
using Xunit;

namespace Sandbox.Supervisor.Tests.Metrics;

/// <summary>
/// Reads OpenMetrics text by the rules of its specification (1.0, "Text format" and "Metric types") and fails where one is
/// broken: written from that, not from the writer.
/// </summary>
sealed partial class OpenMetricsReader
{
    static readonly Dictionary<string, string[]> s_suffixes = new()
    {
        ["counter"] = ["_total"], ["gauge"] = [""], ["summary"] = ["_count", "_sum"], ["info"] = ["_info"], ["stateset"] = [""],
    };

    readonly Dictionary<string, string> _types = [];

    public OpenMetricsReader(string text)
    {
        Assert.EndsWith("\n# EOF\n", text, StringComparison.Ordinal);
        string name = "", type = "", unit = "";
        foreach (string line in text[..^"# EOF\n".Length].Split('\n')[..^1])
        {
            Assert.DoesNotContain('\r', line);
            if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                string[] words = line.Split(' ');
                (name, type, unit) = (words[2], words[3], "");
                Assert.Equal(4, words.Length);
                Assert.Matches("^[a-zA-Z_:][a-zA-Z0-9_:]*$", name);
                Assert.True(_types.TryAdd(name, type), $"{name} twice, or in two places");
                Assert.Contains(type, s_suffixes.Keys);
                // No name may be mistaken for a sample of another family.
                Assert.DoesNotMatch("_(total|created|info|bucket|count|sum)$", name);
            }
            else if (line.StartsWith("# UNIT ", StringComparison.Ordinal))
            {
                string[] words = line.Split(' ');
                Assert.Equal((4, name), (words.Length, words[2]));
                unit = words[3];
                Assert.EndsWith($"_{unit}", name, StringComparison.Ordinal);
                Assert.True(type is not ("info" or "stateset"));
            }
            else if (line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                Assert.StartsWith($"# HELP {name} ", line, StringComparison.Ordinal);
            }
            else
            {
                Read(line, name, type);
            }

            Assert.True(unit.Length > 0 || line.StartsWith('#') || !Regex.IsMatch(name, "_(seconds|bytes)$"), $"{name} has no unit");
        }
    }

    /// <summary>Values by name and labels, as they are written.</summary>
    public Dictionary<string, string> Samples { get; } = [];

    public IReadOnlyCollection<string> Families => _types.Keys;

    void Read(string line, string name, string type)
    {
        Match sample = Sample().Match(line);
        Assert.True(sample.Success, line);
        Assert.Contains(sample.Groups["name"].Value, s_suffixes[type].Select(suffix => name + suffix));
        string[] labels = [.. sample.Groups["label"].Captures.Select(label => label.Value)];
        Assert.Equal(labels.Length, labels.Distinct().Count());
        if (type == "stateset")
            Assert.Contains(name, labels);
        string value = sample.Groups["value"].Value;
        double number = double.Parse(value, CultureInfo.InvariantCulture);
        Assert.True(number >= 0);
        if (type == "info")
            Assert.Equal("1", value);
        if (type == "stateset")
            Assert.Contains(value, (string[])["0", "1"]);
        Assert.True(Samples.TryAdd(sample.Groups["series"].Value, value), $"{line} twice");
    }

    [GeneratedRegex("""^(?<series>(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\{((?<label>[a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\\n]|\\[\\"n])*",?)*\}) (?<value>[0-9]+(\.[0-9]+)?)$""")]
    private static partial Regex Sample();
}
