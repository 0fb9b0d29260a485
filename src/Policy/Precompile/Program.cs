using Sandbox.Policy.Language;
using Sandbox.Policy.Precompile;

// sandbox-policy-precompile OUTPUT.cs: writes the policy that applies without --policy, read and composed, as C# source,
// so that most runs parse nothing.
if (args.Length != 1)
{
    Console.Error.WriteLine("usage: sandbox-policy-precompile OUTPUT.cs");
    return 2;
}

var diagnostics = new Diagnostics();
SourceText source = BuiltinPolicies.Read(BuiltinPolicies.Default)!;
if (PolicyLoader.Load(source, new NoFiles(), diagnostics) is not PolicyModel model)
{
    foreach (Diagnostic found in diagnostics.List)
        Console.Error.WriteLine($"{found.Span}: error: {found.Message}");
    return 1;
}

string text = PolicySource.Write(model);
// An equal file is left alone, so that nothing is compiled again for it.
if (!File.Exists(args[0]) || File.ReadAllText(args[0]) != text)
    File.WriteAllText(args[0], text);
return 0;

/// <summary>What is built in extends only what is built in.</summary>
sealed class NoFiles : IPolicyFiles
{
    public SourceText? Read(string name, out string problem)
    {
        problem = "is not a built-in policy";
        return null;
    }
}
