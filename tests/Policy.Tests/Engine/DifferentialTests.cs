using System.Diagnostics;
using System.Net;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>
/// The compiled engine against the reference, decision and deciding rule, for as many requests as seconds allow, or for
/// as many as SANDBOX_POLICY_REQUESTS says: tests/compare-policies.
/// </summary>
public class DifferentialTests
{
    static readonly long? s_requests =
        Environment.GetEnvironmentVariable("SANDBOX_POLICY_REQUESTS") is string requests ? long.Parse(requests) : null;

    const int SecondsByDefault = 5, LeastRequests = 100_000;

    /// <summary>Of each kind: how many were compared, and how many were allowed.</summary>
    readonly Dictionary<string, (long Compared, long Allowed)> _counts = [];

    [Fact]
    public void TheCompiledEngineDecidesAsTheReference()
    {
        var clock = Stopwatch.StartNew();
        long compared = 0;
        for (int seed = 1; s_requests is long wanted
             ? compared < wanted
             : compared < LeastRequests || clock.Elapsed.TotalSeconds < SecondsByDefault; seed++)
        {
            Compare(seed);
            compared = _counts.Values.Sum(count => count.Compared);
        }

        foreach ((string kind, (long all, long allowed)) in _counts)
        {
            TestContext.Current.TestOutputHelper!.WriteLine($"{kind}: {all} requests, {allowed} allowed");
            Assert.InRange(allowed, all / 100, all / 2);
        }

        TestContext.Current.TestOutputHelper!.WriteLine($"together {compared} requests, no difference, {clock.Elapsed.TotalSeconds:0} s");
    }

    void Compare(int seed)
    {
        const int rounds = 50;
        var random = new RandomPolicy(seed);
        string text = random.Text();
        CompiledPolicy policy = MemoryFiles.Fragment(text);
        string home = CompiledPolicy.UserOf(policy.Model).Home;
        Dictionary<string, IReadOnlyList<IPAddress>> pins = random.Pins();
        NetworkRules network = CompiledPolicy.Pin(policy.Model, pins);
        for (int i = 0; i < rounds; i++)
        {
            string path = random.Path(7);
            var access = (PathAccess)(1 << (i % 5));
            Same("open", ReferenceEvaluator.Path(policy.Model, home, path, access),
                policy.Paths.Decide(ReferenceEvaluator.Bytes(path), access), $"{access} {path}");
            var protocol = (NetworkProtocol)(i % 2);
            foreach (NetworkAction action in (NetworkAction[])[NetworkAction.Connect, NetworkAction.Listen])
            {
                IPAddress address = random.AnyAddress();
                ushort port = random.AnyPort();
                Same($"{action}".ToLowerInvariant(), ReferenceEvaluator.Address(policy.Model, action, protocol, address, port, pins),
                    network.Decide(action, protocol, address, port), $"{protocol} {address} {port}");
            }

            string host = random.AnyHost();
            ushort hostPort = random.AnyPort();
            Same("connect to a name", ReferenceEvaluator.Host(policy.Model, protocol, host, hostPort),
                policy.Network.Connect(protocol, host, hostPort), $"{protocol} {host} {hostPort}");
            Same("resolve", ReferenceEvaluator.Resolve(policy.Model, host), policy.Network.Resolve(host), host);
            uint number = random.Number();
            ulong[] arguments = random.Arguments();
            SystemCallVerdict expected = ReferenceEvaluator.SystemCall(policy.Model, number, arguments);
            SystemCallVerdict actual = policy.SystemCalls.Decide(number, arguments);
            Assert.True(expected.Answer == actual.Answer, $"seed {seed}: call {number} answers {actual.Answer} instead of {expected.Answer}\n{text}");
            Same("system call", new Verdict(expected.Allowed, expected.Rule), new Verdict(actual.Allowed, actual.Rule), $"{number}");
        }

        void Same(string kind, Verdict expected, Verdict actual, string request)
        {
            Assert.True(expected == actual, $"seed {seed}: {kind} {request}: {actual} instead of {expected}\n{text}");
            (long all, long allowed) = _counts.GetValueOrDefault(kind);
            _counts[kind] = (all + 1, allowed + (expected.Allowed ? 1 : 0));
        }
    }

    [Fact]
    public void DecidingAllocatesNothing()
    {
        CompiledPolicy policy = MemoryFiles.Fragment(new RandomPolicy(7).Text());
        IPAddress address = IPAddress.Parse("192.0.2.200");
        IPAddress six = IPAddress.Parse("2001:db8::1");
        ulong[] arguments = new ulong[6];
        Decide();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            Decide();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Decide()
        {
            policy.Paths.Decide("/usr/lib/a/b/x.o"u8, PathAccess.Read);
            policy.Network.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, address, 443);
            policy.Network.Decide(NetworkAction.Connect, NetworkProtocol.Udp, six, 443);
            policy.Network.Connect(NetworkProtocol.Tcp, "example.org", 443);
            policy.Network.Resolve("b.a.example.org");
            policy.SystemCalls.Decide(1, arguments);
        }
    }
}
