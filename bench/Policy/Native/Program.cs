using System.Diagnostics;
using System.Globalization;
using System.Net;
using Sandbox.Bench.Policy;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;

// sandbox-bench-policy-native load RULES: milliseconds from text to compiled policy, the first time in a process, which
// is how a run meets it. sandbox-bench-policy-native decide: nanoseconds for one decision as rules grow.
if (args is ["load", string number])
{
    string text = SamplePolicy.Text(int.Parse(number, CultureInfo.InvariantCulture));
    long start = Stopwatch.GetTimestamp();
    SamplePolicy.Load(text);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(start).TotalMilliseconds:0.000}"));
    return 0;
}

if (args is not ["decide"])
{
    Console.Error.WriteLine("usage: sandbox-bench-policy-native load RULES | decide");
    return 2;
}

foreach (int rules in (int[])[10, 100, 1_000, 10_000])
{
    CompiledPolicy policy = SamplePolicy.Load(SamplePolicy.Text(rules));
    byte[][] paths = SamplePolicy.Paths(rules);
    (IPAddress Address, ushort Port)[] addresses = SamplePolicy.Addresses(rules);
    double path = Median(i => policy.Paths.Decide(paths[i], PathAccess.Read).Allowed, out long pathBytes);
    double network = Median(
        i => policy.Network.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, addresses[i].Address, addresses[i].Port).Allowed,
        out long networkBytes);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rules} {path:0.0} {network:0.0} {pathBytes + networkBytes}"));
}

return 0;

// Of the time for one of all requests, over many rounds.
static double Median(Func<int, bool> decide, out long allocated)
{
    const int rounds = 201;
    double[] times = new double[rounds];
    allocated = GC.GetAllocatedBytesForCurrentThread();
    int allowed = 0;
    for (int round = 0; round < rounds; round++)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < SamplePolicy.Requests; i++)
            allowed += decide(i) ? 1 : 0;
        times[round] = Stopwatch.GetElapsedTime(start).TotalNanoseconds / SamplePolicy.Requests;
    }

    allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
    if (allowed is 0 or rounds * SamplePolicy.Requests)
        throw new InvalidOperationException("every request was answered alike");
    Array.Sort(times);
    return times[rounds / 2];
}
