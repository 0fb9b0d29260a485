using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

// Nanoseconds for one decision, and milliseconds to load a policy, as rules grow; beside them the plain evaluator that
// goes through the rules one by one. Medians of many rounds; one line for each size.
const int Rounds = 41, Decisions = 20_000;

Console.WriteLine("rules | load ms | path ns | network ns | one by one: path ns | bytes allocated");
foreach (int count in (int[])[10, 100, 1_000, 10_000])
{
    string text = Policy(count);
    double load = Median(Math.Max(3, 300 / count), () => Load(text)) / 1e6;
    CompiledPolicy policy = Load(text);
    byte[][] paths = [.. Enumerable.Range(0, 64).Select(i => Encoding.UTF8.GetBytes($"/data/team{i * 37 % 97}/project{i * 131 % count}/src/deep/file{i}.c"))];
    IPAddress[] addresses = [.. Enumerable.Range(0, 64).Select(i => IPAddress.Parse($"20.{i * 131 % count / 250}.{i * 131 % count % 250}.7"))];
    double path = Median(Rounds, () =>
    {
        for (int i = 0; i < Decisions; i++)
            policy.Paths.Decide(paths[i & 63], PathAccess.Read);
    }) / Decisions;
    double network = Median(Rounds, () =>
    {
        for (int i = 0; i < Decisions; i++)
            policy.Network.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, addresses[i & 63], 443);
    }) / Decisions;
    long before = GC.GetAllocatedBytesForCurrentThread();
    for (int i = 0; i < Decisions; i++)
    {
        policy.Paths.Decide(paths[i & 63], PathAccess.Read);
        policy.Network.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, addresses[i & 63], 443);
    }

    long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
    double plain = OneByOne(policy.Model, paths);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{count,5} | {load,7:0.00} | {path,7:0} | {network,10:0} | {plain,19:0} | {allocated}"));
}

// Half of the rules are about paths, a tenth of them with wildcards; half about the network.
static string Policy(int count)
{
    var text = new StringBuilder("version: 1\nfragment: true\nfiles:\n  show:\n    - {path: /data}\n  rules:\n");
    for (int i = 0; i < count / 2; i++)
    {
        string pattern = i % 10 == 0 ? $"/data/**/project{i}/*.key" : $"/data/team{i % 97}/project{i}/src/**";
        text.Append($"    - {{{(i % 3 == 0 ? "deny" : "allow")}: [read, write], path: '{pattern}'}}\n");
    }

    text.Append("network:\n");
    // One of them is what is shown.
    for (int i = 0; i < count - count / 2 - 1; i++)
        text.Append($"  - {{{(i % 3 == 0 ? "deny" : "allow")}: connect, to: 20.{i / 250}.{i % 250}.0/24, port: [80, 443, 8000-8{i % 1000:000}]}}\n");
    return text.ToString();
}

static CompiledPolicy Load(string text)
{
    var diagnostics = new Diagnostics();
    return CompiledPolicy.Load(new SourceText("bench", text), new NoFiles(), diagnostics)
        ?? throw new InvalidOperationException(diagnostics.List[0].Message);
}

static double Median(int rounds, Action body)
{
    body();
    double[] times = new double[rounds];
    for (int i = 0; i < rounds; i++)
    {
        long start = Stopwatch.GetTimestamp();
        body();
        times[i] = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
    }

    Array.Sort(times);
    return times[rounds / 2];
}

static double OneByOne(PolicyModel model, byte[][] paths)
{
    string[] texts = [.. paths.Select(Encoding.UTF8.GetString)];
    var patterns = model.PathRules.Select(rule => (rule, new System.Text.RegularExpressions.Regex(
        "^" + System.Text.RegularExpressions.Regex.Escape(rule.Patterns[0].Value)
            .Replace("/\\*\\*", "(/[^/]+)*", StringComparison.Ordinal).Replace("\\*", "[^/]*", StringComparison.Ordinal) + "$"))).ToArray();
    return Median(3, () =>
    {
        foreach (string path in texts)
            foreach ((PathRule rule, System.Text.RegularExpressions.Regex pattern) in patterns)
                if (pattern.IsMatch(path) && !rule.Allow)
                    break;
    }) / texts.Length;
}

sealed class NoFiles : IPolicyFiles
{
    public SourceText? Read(string name, out string problem)
    {
        problem = "is not there";
        return null;
    }
}
