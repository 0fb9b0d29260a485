using System.Net;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Learning;
using Sandbox.Supervisor.Network;
using Sandbox.Supervisor.Tests.Network;
using Xunit;

namespace Sandbox.Supervisor.Tests.Audit;

/// <summary>What the broker decides becomes a record with its rule; in a learning run, a request that a policy can say.</summary>
public sealed class NetworkRecorderTests
{
    static readonly IPAddress s_pinned = IPAddress.Parse("192.0.2.7");

    readonly ObservationCollector _learned = new();
    readonly NetworkRecorder _recorder;
    readonly NetworkGrant _grant;
    readonly PolicyModel _policy = Policies.Model("""
        network:
        - {allow: connect, to: pinned.example, port: 443}
        - {allow: listen, to: '::', protocol: udp, port: 53}
        - {allow: resolve, to: '*.example'}

        """);

    public NetworkRecorderTests()
    {
        _grant = NetworkGrant.Prepare(_policy, _ => (0, [s_pinned]))!;
        _recorder = new NetworkRecorder(_grant, _policy.NetworkRules, _sink, _learned);
    }

    readonly DecisionList _sink = new();

    bool Decide(NetworkAction action, NetworkProtocol protocol, IPAddress? address, ushort port, string? name)
    {
        Verdict verdict = action == NetworkAction.Resolve
            ? _grant.Rules.Resolve(name)
            : _grant.Rules.Decide(action, protocol, address!, port);
        return _recorder.Decided(new NetworkQuestion(action, protocol, address, port, name), verdict, 5);
    }

    [Fact]
    public void EachDecisionHasItsRequestRuleAndLatency()
    {
        Assert.True(Decide(NetworkAction.Connect, NetworkProtocol.Tcp, s_pinned, 443, null));
        Assert.True(Decide(NetworkAction.Connect, NetworkProtocol.Udp, IPAddress.Parse("2001:db8::1"), 443, null));
        Assert.True(Decide(NetworkAction.Listen, NetworkProtocol.Udp, IPAddress.IPv6Any, 53, null));
        Assert.True(Decide(NetworkAction.Resolve, NetworkProtocol.Tcp, null, 0, "a.example"));
        Assert.True(Decide(NetworkAction.Resolve, NetworkProtocol.Tcp, null, 0, "a.other"));
        IReadOnlyList<NetworkRule> rules = _policy.NetworkRules;
        Assert.Equal(
            [
                new DecisionRecord("connect tcp 192.0.2.7:443", true, "allowed", rules[0], 0, 5),
                new DecisionRecord("connect udp [2001:db8::1]:443", false, "denied EACCES", null, 0, 5),
                new DecisionRecord("listen udp [::]:53", true, "allowed", rules[1], 0, 5),
                new DecisionRecord("resolve a.example", true, "allowed", rules[2], 0, 5),
                new DecisionRecord("resolve a.other", false, "denied EACCES", null, 0, 5),
            ],
            _sink.Records);
    }

    [Fact]
    public void WhatIsLearnedNamesTheHostThatTheRuleNames()
    {
        EachDecisionHasItsRequestRuleAndLatency();
        Decide(NetworkAction.Connect, NetworkProtocol.Tcp, s_pinned, 443, null);
        Observations seen = _learned.Finish();
        Assert.Equal(
            ["False connect udp [2001:db8::1]:443 1", "False resolve a.other 1", "True connect tcp pinned.example:443 2",
                "True listen udp [::]:53 1", "True resolve a.example 1"],
            seen.Network.Select(pair => $"{pair.Key.Allowed} {pair.Key.Request} {pair.Value.Times}"));
    }

    [Fact]
    public void AFullLogIsToldToTheBroker()
    {
        _sink.HasRoom = false;
        Assert.False(_recorder.HasRoom);
        Assert.False(Decide(NetworkAction.Connect, NetworkProtocol.Tcp, s_pinned, 443, null));
    }
}
