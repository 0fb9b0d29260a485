using Sandbox.Policy.Language;
using Xunit;

namespace Sandbox.Policy.Tests;

public class BuiltinPolicyTests
{
    public static TheoryData<string> Names => [.. BuiltinPolicies.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void ItIsRightAndEveryRuleSaysWhy(string name)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy = CompiledPolicy.Load(BuiltinPolicies.Read(name)!, new MemoryFiles(), diagnostics);
        if (policy is not null)
            Lint.Check(policy, diagnostics);
        Assert.Equal([], diagnostics.List.Select(found => $"{found.Span}: {found.Kind.Name}: {found.Message}"));
    }
}
