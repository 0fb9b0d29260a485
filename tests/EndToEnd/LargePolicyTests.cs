using System.Globalization;
using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>
/// Policies as large as can be, made to be slow or to fill the memory: each command serves or refuses them with 100 MB
/// (what it may write to, as RLIMIT_DATA counts it) and without a stack trace.
/// </summary>
public sealed class LargePolicyTests
{
    const int LimitKibibytes = 100 << 10;

    readonly string _folder = Case.NewFolder("large");

    const string Head = """
        version: 1
        extends: builtin:base.yaml
        guest: {platforms: kvm, cpus: 1, memory: 256M, time: 1m, cpu-time: 1m, processes: 16, open-files: 64, output: 1M, tmp-size: 16M}

        """;

    const string Files = "files:\n  show: [{path: /d, from: /usr, because: x}]\n  rules:\n";

    static string Lines(int count, Func<int, string> line) => string.Concat(Enumerable.Range(0, count).Select(line));

    static readonly Dictionary<string, string> s_large = new()
    {
        ["rules"] = Files + Lines(9900, i => $"    - {{deny: read, path: /d/t{i}/p{i}/**, because: x}}\n"),
        ["names below everything"] = Files + Lines(9900, i => $"    - {{deny: read, path: '/d/**/n{i}/*.x{i % 40}'}}\n"),
        ["overlapping globs"] = Files + Lines(9900, i => $"    - {{deny: read, path: '/d/a*{i % 100}/b*{i / 100}/**'}}\n"),
        ["long names"] = Files + Lines(3900, i => $"    - {{deny: read, path: '/d/{new string((char)('a' + i % 26), 215)}{i}'}}\n"),
        ["blocks and ports"] = "network:\n" + Lines(9900, i => $"  - {{deny: connect, to: 9.{i / 256}.{i % 256}.0/24, port: [{i}, {i + 9}-{i + 3000}]}}\n"),
        ["calls"] = "syscalls:\n" + Lines(9900, i => $"  - {{deny: ['{i % 330}', '{i % 77}'], when: {{argument: {i % 3}, as: long, is: <, value: {i}}}}}\n"),
        ["shown"] = "files:\n  show:\n" + Lines(9900, i => $"    - {{path: /a{i}/b{i}/c, memory: true}}\n"),
        ["a huge value"] = $"description: {new string('x', 1_040_000)}\n",
        ["flow nesting"] = "z: " + new string('[', 400_000),
        ["map nesting"] = "z: " + string.Concat(Enumerable.Repeat("{a: ", 200_000)),
        ["anchors"] = "z: &a [x]\ny: [" + string.Concat(Enumerable.Repeat("*a,", 200_000)) + "]\n",
        ["empty maps"] = "files: {rules: [" + string.Concat(Enumerable.Repeat("{},", 200_000)) + "]}\n",
        ["one byte too many"] = "#" + new string('x', 1 << 20),
        ["one rule too many"] = Files + Lines(10_000, i => $"    - {{deny: read, path: /d/{i}}}\n"),
        ["control characters"] = new string('\x01', 1 << 19),
    };

    public static TheoryData<string> Large => [.. s_large.Keys];

    string Write(string what)
    {
        string file = Path.Combine(_folder, what.Replace(' ', '-') + ".yaml");
        File.WriteAllText(file, Head + s_large[what]);
        return file;
    }

    Outcome Command(params string[] arguments) => Native.Run(
        [
            "bash", "-c", string.Create(CultureInfo.InvariantCulture, $"ulimit -d {LimitKibibytes}; exec \"$@\""), "bash", Ring.Sandbox,
            "policy", .. arguments,
        ],
        _folder, timeout: TimeSpan.FromSeconds(100));

    [Theory]
    [MemberData(nameof(Large))]
    public void Each_command_serves_or_refuses_it(string what)
    {
        string file = Write(what), other = Write("rules");
        string cases = Path.Combine(_folder, "cases");
        Directory.CreateDirectory(cases);
        File.WriteAllText(Path.Combine(cases, "c.yaml"), $"policy: {file}\ncases:\n  - {{request: open /d/x for read, expect: deny}}\n");
        Assert.Equal(0, Command("keygen", "key").Status);
        string[][] commands =
        [
            ["check", file], ["explain", file, "--request", "open /d/t5/p5/x for read"], ["score", file], ["fmt", file], ["show", file],
            ["diff", file, other], ["implies", other, file], ["equivalent", file, file], ["test", cases],
            ["sign", file, "--key", "key"], ["verify", file, "--trust", "key.pub"],
        ];
        foreach (string[] command in commands)
        {
            Outcome outcome = Command(command);
            Assert.False(outcome.TimedOut, $"it hangs\n{outcome}");
            Assert.True(outcome.Status is 0 or 1 or 3, $"neither served nor refused\n{outcome}");
            Assert.DoesNotContain("   at ", outcome.ErrorText);
        }
    }

    [Theory]
    [InlineData("one byte too many", "larger than 1048576 bytes")]
    [InlineData("one rule too many", "10000 is the most")]
    public void What_is_larger_is_refused_by_a_message(string what, string message)
    {
        Outcome outcome = Command("check", Write(what));
        Assert.Equal(3, outcome.Status);
        Assert.Contains(message, outcome.Text + outcome.ErrorText);
    }

    /// <summary>The limit is one that can be reached: with less, the command says so.</summary>
    [Fact]
    public void Less_memory_is_told()
    {
        Outcome outcome = Native.Run(
            ["bash", "-c", "ulimit -d 40000; exec \"$@\"", "bash", Ring.Sandbox, "policy", "check", Write("rules")], _folder);
        Assert.Equal(125, outcome.Status);
        Assert.Contains("memory", outcome.ErrorText);
    }
}
