using System.Net;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Network;
using Sandbox.Supervisor.Planning;
using Xunit;

namespace Sandbox.Supervisor.Tests.Network;

/// <summary>Names of rules are looked up once, before the start, and what cannot be applied refuses it.</summary>
public sealed class NetworkGrantTests
{
    static (int, IPAddress[]) Resolve(string name) => name switch
    {
        "a.example" => (0, [IPAddress.Parse("192.0.2.1"), IPAddress.Parse("2001:db8::1")]),
        "mixed.example" => (0, [IPAddress.Parse("10.0.0.1"), IPAddress.Parse("192.0.2.2")]),
        "inside.example" => (0, [IPAddress.Parse("10.0.0.1"), IPAddress.Loopback]),
        _ => (-Host.Libc.ENOENT, []),
    };

    static NetworkGrant? Grant(string rules) => NetworkGrant.Prepare(Policies.Model($"network:\n{rules}\n"), Resolve);

    static GuestFile? File(NetworkGrant? grant, string path)
    {
        PlannedLaunch launch = PlanBuilder.Build(
            new RunOptions { Arguments = ["true"] }, FakeHost.DefaultPolicy, new FakeHost().Facts, [], grant, 0);
        Assert.Equal(grant is not null, launch.Grants.Any(given => given is Grant.Broker));
        Assert.Equal(grant is not null, launch.Plan.Network is not null);
        if (launch.Plan.Network is { } network)
            Assert.IsType<Grant.Broker>(launch.Grants[network.Broker]);
        return launch.Plan.Files.FirstOrDefault(file => file.Path == path);
    }

    [Fact]
    public void APolicyThatOnlyDeniesGivesNothing()
    {
        Assert.Null(NetworkGrant.Prepare(FakeHost.DefaultPolicy, Resolve));
        Assert.Null(Grant("- {deny: connect, to: 192.0.2.1}"));
        Assert.Null(File(null, "/etc/resolv.conf"));
        Assert.Contains("hosts: files\n", File(null, "/etc/nsswitch.conf")!.Content);
    }

    [Fact]
    public void NamesArePinnedAndStandInTheGuestsHosts()
    {
        NetworkGrant grant = Grant("- {allow: connect, to: [a.example, mixed.example], protocol: tcp, port: 443}")!;
        Assert.Equal("""
            127.0.0.1	localhost sandbox
            ::1	localhost ip6-localhost ip6-loopback
            192.0.2.1	a.example
            2001:db8::1	a.example
            192.0.2.2	mixed.example

            """, File(grant, "/etc/hosts")!.Content);
        Assert.Null(File(grant, "/etc/resolv.conf"));
        bool Allows(string address, ushort port) =>
            grant.Rules.Decide(NetworkAction.Connect, NetworkProtocol.Tcp, IPAddress.Parse(address), port).Allowed;
        Assert.True(Allows("192.0.2.2", 443));
        Assert.False(Allows("10.0.0.1", 443));
        Assert.False(Allows("192.0.2.2", 80));
    }

    [Fact]
    public void AReservedAddressThatIsNamedTooIsPinned()
    {
        NetworkGrant grant = Grant("- {allow: connect, to: [inside.example, 10.0.0.0/24], port: 443}")!;
        Assert.Equal([IPAddress.Parse("10.0.0.1")], grant.Pins["inside.example"]);
    }

    [Fact]
    public void DnsIsThereWhereItMayBeAsked()
    {
        NetworkGrant grant = Grant("- {allow: resolve, to: '*.example'}")!;
        Assert.True(grant.HasNameServer);
        Assert.Equal("nameserver 127.0.0.53\n", File(grant, "/etc/resolv.conf")!.Content);
        Assert.Contains("hosts: files dns\n", File(grant, "/etc/nsswitch.conf")!.Content);
    }

    [Theory]
    [InlineData("- {allow: connect, to: none.example}", "p.yaml:4:3: the host none.example has no address now")]
    [InlineData("- {allow: connect, to: 192.0.2.1}\n- {deny: connect, to: none.example}", "p.yaml:5:3: the host none.example has no address now")]
    [InlineData("- {allow: connect, to: inside.example}", "only addresses that are reserved or denied (10.0.0.1, 127.0.0.1)")]
    [InlineData("- {allow: connect, to: a.example}\n- {deny: connect, to: [192.0.2.0/24, '2001:db8::/32']}", "only addresses that are reserved or denied")]
    public void WhatCannotBeAppliedRefuses(string rules, string reason) => OneLine.Refuses(reason, () => Grant(rules));
}
