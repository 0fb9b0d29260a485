using Sandbox.Policy.Language;
using Sandbox.Policy.Precompile;

// sandbox-policy-precompile OUTPUT.cs: writes the built-in policies as C# source, read, and the one that applies
// without --policy composed too, so that of them nothing is parsed when the program runs.
if (args.Length != 1)
{
    Console.Error.WriteLine("usage: sandbox-policy-precompile OUTPUT.cs");
    return 2;
}

var diagnostics = new Diagnostics();
var models = new Dictionary<string, PolicyModel?>();
foreach (string name in BuiltinPolicies.Names)
    models.Add(BuiltinPolicies.Prefix + name, Binder.Read(BuiltinPolicies.Read(name)!, diagnostics));
PolicyModel? applies = PolicyLoader.Load(BuiltinPolicies.Read(BuiltinPolicies.Default)!, new NoFiles(), diagnostics);
if (applies is null || diagnostics.HasErrors)
{
    foreach (Diagnostic found in diagnostics.List)
        Console.Error.WriteLine($"{found.Span}: error: {found.Message}");
    return 1;
}

string text = PolicySource.Write(applies, models!);
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
