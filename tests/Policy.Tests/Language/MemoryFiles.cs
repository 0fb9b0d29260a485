using Sandbox.Policy.Language;

namespace Sandbox.Policy.Tests;

/// <summary>Policy files that exist only in a test.</summary>
sealed class MemoryFiles : Dictionary<string, string>, IPolicyFiles
{
    public SourceText? Read(string name, out string problem)
    {
        problem = "cannot be read: no such file";
        return TryGetValue(name, out string? text) ? new SourceText(name, text) : null;
    }

    public static Diagnostics Check(string text, MemoryFiles? files = null)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy.Load(new SourceText("p.yaml", text), files ?? [], diagnostics);
        return diagnostics;
    }

    /// <summary>A policy that has no errors.</summary>
    public static CompiledPolicy Load(string text, MemoryFiles? files = null)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy = CompiledPolicy.Load(new SourceText("p.yaml", text), files ?? [], diagnostics);
        Xunit.Assert.True(policy is not null, string.Join('\n', diagnostics.List.Select(found => $"{found.Span}: {found.Message}")));
        return policy!;
    }

    /// <summary>A fragment: nothing needs to be said about limits.</summary>
    public static CompiledPolicy Fragment(string text, MemoryFiles? files = null) => Load("version: 1\nfragment: true\n" + text, files);
}
