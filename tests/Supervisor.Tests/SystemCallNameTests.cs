using System.Reflection;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>
/// The policy language knows system calls by name and references nothing that could tell it their numbers. The host's
/// constants, which are compiled against the C headers, can.
/// </summary>
public sealed class SystemCallNameTests
{
    private const string Prefix = "SYS_";

    [Fact]
    public void NamesAndNumbersAreTheHeaders()
    {
        Dictionary<string, int> headers = typeof(Libc).GetFields(BindingFlags.Public | BindingFlags.Static)
            // SYS_SECCOMP and its like are signal codes.
            .Where(field => field.IsLiteral && field.Name.StartsWith(Prefix, StringComparison.Ordinal)
                && !char.IsUpper(field.Name[Prefix.Length]))
            .ToDictionary(field => field.Name[Prefix.Length..], field => Convert.ToInt32(field.GetRawConstantValue()));
        Assert.True(headers.Count > 300);
        foreach ((string name, int number) in headers)
        {
            bool[] found = new bool[SystemCallNames.Limit];
            Assert.True(SystemCallNames.TryFind(name, found), $"{name} is unknown to policies");
            Assert.Equal((name, number), (name, Array.IndexOf(found, true)));
            Assert.Single(found, call => call);
        }
        foreach (string name in SystemCallNames.Known.Where(name => !name.StartsWith('@')))
            Assert.True(headers.ContainsKey(name), $"{name} is not in the headers");
    }
}
