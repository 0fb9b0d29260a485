using System.Text;
using System.Text.Unicode;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// The compiler of path patterns. Lines that begin with + or - are rules, others are paths; the compiled tables must
/// decide as a table of which prefix of the pattern matches which prefix of the path.
/// </summary>
sealed class PatternTarget : FuzzTarget
{
    public override string Name => "pattern";

    public override string Summary => "path patterns: parsing, compiling, deciding, against a slow matcher";

    public override int MaximumLength => 1024;

    public override long AllocationLimit => 256 << 20;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
        [.. "+/|-/|\n/|/**|/*|**/|*|\\*|/a|.so|~".Split('|').Select(Encoding.UTF8.GetBytes)];

    public override IEnumerable<(string, byte[])> Seeds()
    {
        yield return ("plain", "+/usr/**\n-/usr/*/x\n/usr/a/x\n/usr/b"u8.ToArray());
        yield return ("wildcards", "+/**/*.so\n-/**/a*b*c/**\n+/**/x/**/y\n/a/lib.so\n/q/axbxc/z\n/x/x/y"u8.ToArray());
        yield return ("escapes", "+/\\*/\\[x\\]\n/*/[x]\n/a"u8.ToArray());
    }

    public override bool Run(ReadOnlySpan<byte> input)
    {
        if (!Utf8.IsValid(input))
            return false;
        var rules = new List<CompiledPathRule>();
        var paths = new List<byte[]>();
        foreach (string line in Encoding.UTF8.GetString(input).Split('\n'))
        {
            if (line.Length > 0 && line[0] is '+' or '-')
            {
                if (PathPattern.TryParse(line[1..], out _) is PathPattern pattern)
                    rules.Add(new CompiledPathRule(rules.Count, line[0] == '+', PathAccess.Read, [pattern.Expand("/home/u")]));
            }
            else if (GuestPath.TryNormalize(line, out string path, out _))
                paths.Add(Encoding.UTF8.GetBytes(path));
        }

        if (PathCompiler.Compile(rules) is not PathTables tables)
            return false;
        var compiled = new PathRules(tables);
        foreach (byte[] path in paths)
            OracleException.Check(compiled.Decide(path, PathAccess.Read) == Reference(rules, path), $"{Encoding.UTF8.GetString(path)} is decided otherwise");
        return rules.Count > 0;
    }

    static Verdict Reference(List<CompiledPathRule> rules, byte[] path)
    {
        string[] names = Encoding.UTF8.GetString(path).Split('/', StringSplitOptions.RemoveEmptyEntries);
        CompiledPathRule[] matching = [.. rules.Where(rule => Matches(rule.Patterns[0], names))];
        int denied = matching.Where(rule => !rule.Allow).Select(rule => rule.Index).DefaultIfEmpty(-1).First();
        int allowed = matching.Where(rule => rule.Allow).Select(rule => rule.Index).DefaultIfEmpty(-1).First();
        return denied >= 0 ? new Verdict(false, denied) : new Verdict(allowed >= 0, allowed);
    }

    static bool Matches(IReadOnlyList<NamePattern> pattern, string[] names) => MatchTable(
        pattern.Count, names.Length, i => pattern[i].Kind == NamePatternKind.AnyNames, (i, j) => MatchesName(pattern[i], names[j]));

    static bool MatchesName(NamePattern pattern, string name)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        // -1 stands for a star.
        int[] symbols = [.. pattern.Pieces.SelectMany((piece, i) => piece.Select(b => (int)b).Prepend(-1).Skip(i == 0 ? 1 : 0))];
        return MatchTable(symbols.Length, bytes.Length, i => symbols[i] < 0, (i, j) => symbols[i] == bytes[j]);
    }

    static bool MatchTable(int rows, int columns, Func<int, bool> isStar, Func<int, int, bool> matches)
    {
        bool[,] table = new bool[rows + 1, columns + 1];
        table[0, 0] = true;
        for (int i = 0; i < rows; i++)
            for (int j = 0; j <= columns; j++)
                table[i + 1, j] = isStar(i)
                    ? table[i, j] || (j > 0 && table[i + 1, j - 1])
                    : j > 0 && table[i, j - 1] && matches(i, j - 1);
        return table[rows, columns];
    }
}
