using System.Reflection;
using System.Text.RegularExpressions;
using Sandbox.Host;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Tests.Jail.Facts;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>SECURITY.md's table of walls says what the code has, and names what proves it.</summary>
public partial class SecurityTableTests
{
    sealed record Row(string Wall, string Stops, string Proof);

    static string Text(string file) => File.ReadAllText(Path.Combine(Root, file));

    static string Root { get; } = FindRoot();

    static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Sandbox.sln")))
                return at.FullName;
        throw new InvalidOperationException("these tests run from inside the repository");
    }

    static Row[] Rows { get; } =
    [
        .. Text("SECURITY.md").Split('\n').SkipWhile(line => line != "| wall | what a fallen VMM does not find | proof |").Skip(2)
            .TakeWhile(line => line.StartsWith('|')).Select(line => line.Trim('|', ' ').Split(" | "))
            .Select(cells => new Row(cells[0], cells[1], cells[2])),
    ];

    /// <summary>The walls, and what is compared besides in every jail.</summary>
    [Fact]
    public void EveryWallHasARowAndEveryRowIsAWall()
    {
        IEnumerable<string> others = new FakeProcess().Compare().Where(line => line.Wall == JailWalls.None).Select(line => line.Name);
        Assert.Equal(WallNames.All.Select(wall => wall.Name).Concat(others).Order(), Rows.Select(row => row.Wall).Order());
        Assert.Equal(JailWalls.All, WallNames.All.Aggregate(JailWalls.None, (all, wall) => all | wall.Wall));
        Assert.All(Rows, row => Assert.True(row.Stops.Length > 10, row.ToString()));
    }

    [Fact]
    public void EveryRowNamesATestThatThereIs()
    {
        Dictionary<string, string> sources = Directory.EnumerateFiles(Path.Combine(Root, "tests"), "*Tests.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal))
            .GroupBy(file => Path.GetFileNameWithoutExtension(file))
            .ToDictionary(files => files.Key, files => string.Concat(files.Select(File.ReadAllText)));
        foreach (Row row in Rows)
        {
            Match[] tests = [.. TestName().Matches(row.Proof).Cast<Match>()];
            Assert.True(tests.Length > 0, $"{row.Wall}: no test");
            foreach (Match test in tests)
            {
                (string type, string method) = (test.Groups[1].Value, test.Groups[2].Value);
                Type? own = Assembly.GetExecutingAssembly().GetTypes().FirstOrDefault(known => known.Name == type);
                bool exists = own?.GetMethod(method)?.GetCustomAttributes<FactAttribute>().Any() == true
                    || (sources.TryGetValue(type, out string? source) && IsTest(source, method));
                Assert.True(exists, $"{row.Wall}: there is no test {type}.{method}");
            }
        }
    }

    static bool IsTest(string source, string method) =>
        Regex.IsMatch(source, $@"\[(Fact|Theory)[^\]]*\](\s*\[[^\n]*\])*\s*public (async Task|void) {method}\(");

    [Theory]
    [InlineData("[Fact]\n    public void Some_name()", true)]
    [InlineData("[Theory]\n    [InlineData(1)]\n    public void Some_name(int i)", true)]
    [InlineData("[Fact]\n    public void Some_name_else()", false)]
    [InlineData("    public void Some_name()", false)]
    public void TheSearchKnowsATest(string source, bool isTest) => Assert.Equal(isTest, IsTest(source, "Some_name"));

    /// <summary>An attempt that a row names is one that docs/jail.md says the wall stops.</summary>
    [Fact]
    public void EveryAttemptIsStoppedByTheWall()
    {
        Dictionary<string, string[]> attempts = Text("docs/jail.md").Split('\n').Where(line => line.StartsWith("| ", StringComparison.Ordinal))
            .Select(line => line.Trim('|').Split(" | ")).ToDictionary(cells => cells[0].Trim(), cells => cells[2..]);
        Row[] named = [.. Rows.Where(row => Attempt().IsMatch(row.Proof))];
        Assert.True(named.Length >= 8, "hardly an attempt is named");
        foreach (Row row in named)
        {
            string attempt = Attempt().Match(row.Proof).Groups[1].Value;
            Assert.True(attempts.TryGetValue(attempt, out string[]? cells), $"docs/jail.md has no attempt \"{attempt}\"");
            string wall = ColumnName(row.Wall);
            Assert.True(cells!.Any(cell => cell.Split(',', StringSplitOptions.TrimEntries).Contains(wall)),
                $"docs/jail.md does not say that \"{wall}\" stops \"{attempt}\"");
        }
    }

    // In the words of docs/jail.md.
    static string ColumnName(string wall) => wall switch
    {
        "empty root" => "root",
        "a user of its own" => "own user",
        "seccomp filter" => "seccomp",
        _ => wall.Replace("namespace", "ns", StringComparison.Ordinal),
    };

    /// <summary>The list of steps is the list of system calls that a VMM's process makes before it is one.</summary>
    [Fact]
    public void TheOrderOfTheJailIsTheScripts()
    {
        Assert.SkipUnless(JailScript.HostHasKeys, "this kernel keeps no keys");
        using ChildScript script = new();
        JailScript.Write(script, JailWalls.All, JailWalls.All, new JailDescriptors(11, 12, 13, 14), "/sandbox-vmm", group: null);
        string[] told = [.. Text("SECURITY.md").Split('\n').SkipWhile(line => line != "Its process makes these system calls, in this order:").Skip(2)
            .TakeWhile(line => line.Length > 0).SelectMany(line => StepName().Matches(line)).Select(step => step.Groups[1].Value)];
        Assert.Equal(WithoutRepetitions(script.Steps), told);
    }

    static List<string> WithoutRepetitions(IEnumerable<string> steps)
    {
        List<string> all = [];
        foreach (string step in steps)
            if (all.LastOrDefault() != step)
                all.Add(step);
        return all;
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex StepName();

    [GeneratedRegex(@"`(\w+Tests)\.(\w+)`")]
    private static partial Regex TestName();

    [GeneratedRegex(@"\*([^*]+)\*")]
    private static partial Regex Attempt();
}
