using System.Runtime.CompilerServices;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>Formatting changes the layout and nothing else, and does so once.</summary>
public class FormatTests
{
    static string Root([CallerFilePath] string here = "") => Path.GetFullPath("../../..", Path.GetDirectoryName(here)!);

    static string Format(string text)
    {
        var diagnostics = new Diagnostics();
        string? formatted = PolicyFormat.Format(new SourceText("p.yaml", text), diagnostics);
        Assert.True(formatted is not null, $"{(diagnostics.List.Count > 0 ? diagnostics.List[0].Message : "")}\n{text}");
        Assert.Equal(formatted, PolicyFormat.Format(new SourceText("p.yaml", formatted!), diagnostics));
        return formatted!;
    }

    [Theory]
    [InlineData("a:   1\n", "a: 1\n")]
    [InlineData("\n\n# head\n\n\n\na: 1\n\n\nb: 2", "# head\n\na: 1\n\nb: 2\n")]
    [InlineData("a:\n- x\n-   y\n", "a:\n  - x\n  - y\n")]
    [InlineData("a:\n        b:   1   # c\n        d: 2\n", "a:\n  b: 1  # c\n  d: 2\n")]
    [InlineData("a: [x,y ,\n  z]\n", "a: [x, y, z]\n")]
    [InlineData("a: {b: 1,\n   'c' : [ ] }\n", "a: {b: 1, 'c': []}\n")]
    [InlineData("a: [x, # one\n y] # two\n", "a:\n  - x  # one\n  - y\n# two\n")]
    [InlineData("a:   # why\n\n  b: 1\n", "a:  # why\n  b: 1\n")]
    [InlineData("a:\n  # first\n  b: 1\n  # last\n# next\nc: 1\n", "a:\n  # first\n  b: 1\n  # last\n# next\nc: 1\n")]
    [InlineData("- - a\n  - b\n-\n  c: 1\n  d: 2\n", "- - a\n  - b\n- c: 1\n  d: 2\n")]
    [InlineData("- # why\n  a: 1\n", "# why\n- a: 1\n")]
    [InlineData("a: |   # c\n      x\n        y\n\nb: >-\n\n   t\n", "a: |  # c\n  x\n    y\n\nb: >-\n\n  t\n")]
    [InlineData("a: |+\n  x\n\n\n# c\nb: 1\n", "a: |+\n  x\n\n\n# c\nb: 1\n")]
    [InlineData("a: |2\n   x\nb: \"x\n  y\"\n", "a: \" x\\n\"\nb: \"x y\"\n")]
    [InlineData("a: one\n    two\n\n    three   # c\n", "a: one\n  two\n\n  three  # c\n")]
    [InlineData("a: 'it''s # no'\nb: \"\\x41\"\n", "a: 'it''s # no'\nb: \"\\x41\"\n")]
    [InlineData("a:\nb:  # c\n", "a:\nb:  # c\n")]
    [InlineData("--- # c\na: 1\n...\n", "# c\na: 1\n")]
    [InlineData("a: 1\r\n\r\n# c\r\nb:\r\n- x\r\n", "a: 1\n\n# c\nb:\n  - x\n")]
    [InlineData("? a\n: b\n", "a: b\n")]
    [InlineData("[a, b]", "[a, b]\n")]
    public void ItHasOneLayout(string text, string expected) => Assert.Equal(expected, Format(text));

    [Fact]
    public void WhatDoesNotFitIsOpened()
    {
        string word = new('x', 60);
        Assert.Equal($"a:\n  - {word}\n  - {word}\n  - {word}\n", Format($"a: [{word}, {word}, {word}]\n"));
        Assert.Equal($"a:\n  - b: {word}\n    c: [{word}, d]\n", Format($"a: [{{b: {word}, c: [{word}, d]}}]\n"));
    }

    public static TheoryData<string> Files =>
    [
        .. new[] { "policies", "policies/tests", "policies/adversarial" }
            .SelectMany(folder => Directory.GetFiles(Path.Combine(Root(), folder), "*.yaml")).Select(file => Path.GetRelativePath(Root(), file)).Order(),
    ];

    [Theory]
    [MemberData(nameof(Files))]
    public void ThePoliciesOfThisRepositoryAreFormatted(string file)
    {
        string text = File.ReadAllText(Path.Combine(Root(), file));
        Assert.Equal(text, Format(text));
    }

    [Fact]
    public void MeaningAndCommentsStayInEveryInputThatFuzzingFound()
    {
        int formatted = 0;
        foreach (string file in Directory.GetFiles(Path.Combine(Root(), "fuzz/corpus"), "*", SearchOption.AllDirectories))
        {
            string text = File.ReadAllText(file);
            if (PolicyFormat.Format(new SourceText(file, text), new Diagnostics()) is not string after)
                continue;
            formatted++;
            Assert.Equal(after, Format(after));
            Same(text, after);
        }

        Assert.True(formatted > 10, $"only {formatted} inputs could be formatted");
    }

    /// <summary>Layouts that people might write, at random: what a policy means does not depend on them.</summary>
    [Fact]
    public void MeaningStaysHoweverAPolicyIsLaidOut()
    {
        var random = new Random(1);
        foreach (string name in BuiltinPolicies.Names)
        {
            string text = BuiltinPolicies.Read(name)!.Content.Replace("extends: ", "extends: builtin:", StringComparison.Ordinal);
            for (int round = 0; round < 5; round++)
            {
                string strange = Disarrange(text, random);
                string after = Format(strange);
                Assert.Equal(Comments(strange), Comments(after));
                Same(strange, after);
            }
        }
    }

    static void Same(string before, string after)
    {
        CompiledPolicy? Load(string text) => CompiledPolicy.Load(new SourceText("p.yaml", text), new MemoryFiles(), new Diagnostics());
        CompiledPolicy? one = Load(before), other = Load(after);
        Assert.Equal(one is null, other is null);
        if (one is null)
            return;
        Assert.True(PolicyComparer.Compare(one, other!).IsEqual);
        // Everything that has no bearing on decisions too, but for the places.
        Assert.Equal(Placeless(PolicyText.Write(one.Model)), Placeless(PolicyText.Write(other!.Model)));
    }

    static string Placeless(string text) =>
        string.Join('\n', text.Split('\n').Select(line => line.LastIndexOf("  # ", StringComparison.Ordinal) is >= 0 and int at ? line[..at] : line));

    static IEnumerable<string> Comments(string text) =>
        text.Split('\n').Where(line => line.Contains("# ~", StringComparison.Ordinal)).Select(line => line[line.IndexOf("# ~", StringComparison.Ordinal)..].TrimEnd());

    /// <summary>Each level twice or three times as deep, with empty lines, spaces and comments.</summary>
    static string Disarrange(string text, Random random)
    {
        int factor = random.Next(1, 4), number = 0;
        var lines = new List<string>();
        foreach (string line in text.Split('\n'))
        {
            int indent = line.Length - line.TrimStart(' ').Length;
            if (random.Next(4) == 0)
                lines.Add(new string(' ', random.Next(20)));
            if (random.Next(4) == 0)
                lines.Add($"{new string(' ', random.Next(12))}# ~{number++}");
            string wide = new string(' ', indent * factor) + line[indent..];
            // The value behind a dash moves with the rest of its entry.
            if (line.AsSpan(indent).StartsWith("- "))
                wide = new string(' ', indent * factor) + "-" + new string(' ', 2 * factor - 1) + line[(indent + 2)..];
            if (line.Length > indent && random.Next(4) == 0)
                wide += $"{new string(' ', random.Next(1, 9))}# ~{number++}";
            lines.Add(wide);
        }

        return string.Join(random.Next(2) == 0 ? "\n" : "\r\n", lines);
    }

    public static TheoryData<string> Heavy
    {
        get
        {
            string many(string item, int times) => string.Concat(Enumerable.Repeat(item, times));
            return
            [
                "a: [" + many("b, ", 200_000) + "b] # c",
                "a: [" + many("{}, ", 100_000) + "b]\n" + many("#\n", 100_000),
                many(" ", 500_000) + "[" + many("b, ", 100_000) + "b]",
                "a:\n" + many("- [] # c\n", 80_000),
                many("\n", 900_000) + "a: 1",
                "a: |\n" + many("  x\n", 200_000),
                many("- ", 15) + many("x\n  y\n", 50_000),
            ];
        }
    }

    [Theory]
    [MemberData(nameof(Heavy), DisableDiscoveryEnumeration = true)]
    public void AHeavyFileTakesSecondsAtMost(string text)
    {
        double start = CpuSeconds();
        string? after = PolicyFormat.Format(new SourceText("p.yaml", text), new Diagnostics());
        if (after is not null)
            LineDifference.Human("p.yaml", text, after);
        // Of this thread's own time, whatever else the machine does; a native program takes a third.
        Assert.InRange(CpuSeconds() - start, 0, 5);
    }

    static double CpuSeconds() => double.Parse(File.ReadAllText("/proc/thread-self/schedstat").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture) / 1e9;

    [Fact]
    public void ADifferenceShowsWhereAndWhat()
    {
        Assert.Equal("", LineDifference.Human("p", "a\nb\n", "a\nb\n"));
        Assert.Equal("p:2:\n- b\\x0d\n+ b\np:4:\n+ e\n", LineDifference.Human("p", "a\nb\r\nc\nd\n", "a\nb\nc\ne\nd\n"));
        Assert.Equal("p:1:\n- a\n+ b\n", LineDifference.Human("p", "a", "b"));
    }

    /// <summary>Values that are not written out: what the library says about where they are is not to be relied on.</summary>
    [Theory]
    [InlineData("---")]
    [InlineData("--- ")]
    [InlineData("a: !\n: b`c d\n\n\n# e")]
    [InlineData("- !\n- !")]
    [InlineData("{a: !, !: b}")]
    public void WhatIsNotThereIsFormattedOrRefused(string text)
    {
        var diagnostics = new Diagnostics();
        string? formatted = PolicyFormat.Format(new SourceText("p.yaml", text), diagnostics);
        Assert.Equal(formatted is null, diagnostics.HasErrors);
    }
}
