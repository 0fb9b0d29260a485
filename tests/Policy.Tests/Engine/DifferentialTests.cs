using System.Net;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

/// <summary>
/// The compiled engine against the reference, decision and deciding rule. SANDBOX_POLICY_REQUESTS sets how many
/// requests are compared; 10 million take minutes.
/// </summary>
public class DifferentialTests
{
    const int RequestsPerPolicy = 250;

    static readonly long s_requests = long.TryParse(Environment.GetEnvironmentVariable("SANDBOX_POLICY_REQUESTS"), out long requests)
        ? requests
        : 200_000;

    [Fact]
    public void TheCompiledEngineDecidesAsTheReference()
    {
        long allowed = 0, compared = 0;
        for (int seed = 1; compared < s_requests; seed++)
        {
            var random = new RandomPolicy(seed);
            string text = random.Text();
            CompiledPolicy policy = MemoryFiles.Fragment(text);
            string home = CompiledPolicy.UserOf(policy.Model).Home;
            for (int i = 0; i < RequestsPerPolicy; i += 5)
            {
                string path = random.Path(7);
                var access = (PathAccess)(1 << (i / 5 % 5));
                Same(ReferenceEvaluator.Path(policy.Model, home, path, access),
                    policy.Paths.Decide(ReferenceEvaluator.Bytes(path), access), $"{access} {path}", seed, text);
                foreach (NetworkAction action in (NetworkAction[])[NetworkAction.Connect, NetworkAction.Listen])
                {
                    IPAddress address = random.AnyAddress();
                    ushort port = random.AnyPort();
                    var protocol = (NetworkProtocol)(i / 5 % 2);
                    Verdict expected = ReferenceEvaluator.Address(policy.Model, action, protocol, address, port);
                    Same(expected, policy.Network.Decide(action, protocol, address, port), $"{action} {protocol} {address} {port}", seed, text);
                    allowed += expected.Allowed ? 1 : 0;
                }

                uint number = random.Number();
                ulong[] arguments = random.Arguments();
                Same(ReferenceEvaluator.SystemCall(policy.Model, number, arguments),
                    policy.SystemCalls.Decide(number, arguments), $"call {number}", seed, text);
                string host = random.AnyHost();
                Same(ReferenceEvaluator.Resolve(policy.Model, host), policy.Network.Resolve(host), $"resolve {host}", seed, text);
            }

            compared += RequestsPerPolicy;
        }

        Assert.InRange(allowed, compared / 100, compared / 2);
    }

    static void Same<T>(T expected, T actual, string request, int seed, string text) =>
        Assert.True(Equals(expected, actual), $"seed {seed}: {request}: {actual} instead of {expected}\n{text}");

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
