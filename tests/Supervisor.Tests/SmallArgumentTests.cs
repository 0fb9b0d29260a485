using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

public class SmallArgumentTests
{
    [Theory]
    [InlineData("root", "root", 0u, 0u, "/root")]
    [InlineData("0", "root", 0u, 0u, "/root")]
    [InlineData("alice", "alice", 1000u, 1000u, "/home/alice")]
    [InlineData("1000", "sandbox", 1000u, 1000u, "/home/sandbox")]
    [InlineData("33:44", "sandbox", 33u, 44u, "/home/sandbox")]
    [InlineData("nobody", "nobody", 65534u, 65534u, "/home/nobody")]
    [InlineData("4294967294", "sandbox", 4294967294u, 4294967294u, "/home/sandbox")]
    [InlineData("alice:7", "alice", 1000u, 7u, "/home/alice")]
    public void ReadsUsers(string text, string name, uint uid, uint gid, string home) =>
        Assert.Equal(new GuestUser { Name = name, Uid = uid, Gid = gid, Home = home }, UserArgument.Parse(text));

    [Theory]
    [InlineData("")]
    [InlineData(":")]
    [InlineData("1:")]
    [InlineData(":1")]
    [InlineData("1:2:3")]
    [InlineData("4294967295")]
    [InlineData("99999999999999999999")]
    [InlineData("1x")]
    [InlineData("-1")]
    [InlineData("Alice")]
    [InlineData("a/b")]
    [InlineData("..")]
    [InlineData("a\nroot:x:0:0")]
    [InlineData("alice:wheel")]
    [InlineData("abcdefghijklmnopqrstuvwxyzabcdefg")]
    public void RefusesUsers(string text) => OneLine.Refuses("--user: ", () => UserArgument.Parse(text));

    [Theory]
    [InlineData("sandbox")]
    [InlineData("a.b-c.example")]
    [InlineData("9")]
    public void ReadsHostNames(string text) => Assert.Equal(text, HostnameArgument.Parse(text));

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("a..b")]
    [InlineData("-a")]
    [InlineData("a-")]
    [InlineData("a b")]
    [InlineData("a\nb")]
    [InlineData("ä")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    public void RefusesHostNames(string text) => OneLine.Refuses("--hostname: ", () => HostnameArgument.Parse(text));

    [Theory]
    [InlineData("A=1", "A", "1")]
    [InlineData("A=", "A", "")]
    [InlineData("A=b=c", "A", "b=c")]
    [InlineData("SET", "SET", "the caller's")]
    public void ReadsVariables(string text, string name, string value) =>
        Assert.Equal(KeyValuePair.Create(name, value), EnvironmentArgument.Parse(text, Callers));

    [Theory]
    [InlineData("")]
    [InlineData("=")]
    [InlineData("=value")]
    [InlineData("UNSET")]
    public void RefusesVariables(string text) => OneLine.Refuses("--env: ", () => EnvironmentArgument.Parse(text, Callers));

    static string? Callers(string name) => name == "SET" ? "the caller's" : null;
}
