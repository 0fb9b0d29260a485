using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Xunit;

namespace Sandbox.Supervisor.Tests.Network;

/// <summary>Policies of a few lines.</summary>
static class Policies
{
    /// <param name="text">What the policy says beyond the default.</param>
    public static PolicyModel Model(string text)
    {
        string because = text.Replace("}\n", ", because: a test}\n", StringComparison.Ordinal);
        var source = new SourceText("p.yaml", "version: 1\nextends: builtin:default.yaml\n" + because);
        var diagnostics = new Diagnostics();
        PolicyModel? model = PolicyLoader.Load(source, new PolicyOpener(), diagnostics);
        Assert.True(model is not null, string.Join('\n', diagnostics.List.Select(found => found.Message)));
        return model;
    }
}
