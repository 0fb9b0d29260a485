namespace Sandbox.Policy.Language;

/// <summary>Reads a policy with everything that it extends.</summary>
public sealed class PolicyLoader
{
    /// <summary>Files of one policy together.</summary>
    internal const int MaximumFiles = 32;

    readonly IPolicyFiles _files;
    readonly Diagnostics _diagnostics;
    readonly List<string> _open = [];
    int _count;

    PolicyLoader(IPolicyFiles files, Diagnostics diagnostics)
    {
        _files = files;
        _diagnostics = diagnostics;
    }

    /// <summary>The policy after composition, or null after a diagnostic.</summary>
    public static PolicyModel? Load(SourceText source, IPolicyFiles files, Diagnostics diagnostics)
    {
        PolicyModel? model = new PolicyLoader(files, diagnostics).Read(source);
        if (model is null || diagnostics.HasErrors)
            return null;
        PolicyCheck.Complete(model, diagnostics);
        return diagnostics.HasErrors ? null : model;
    }

    PolicyModel? Read(SourceText source)
    {
        _open.Add(source.Name);
        PolicyModel? own = Binder.Read(source, _diagnostics);
        if (own is null || _diagnostics.HasErrors)
            return null;
        PolicyModel? beneath = null;
        foreach (Sourced<string> extended in own.Extends)
        {
            if (Extended(source, extended) is not PolicyModel model)
                return null;
            beneath = beneath is null ? model : Composition.Merge(beneath, model);
        }

        _open.RemoveAt(_open.Count - 1);
        return beneath is null ? own : Composition.Extend(beneath, own, _diagnostics);
    }

    PolicyModel? Extended(SourceText from, Sourced<string> extended)
    {
        string name = Resolve(from.Name, extended.Value);
        string problem = "";
        if (_open.Contains(name))
            problem = "leads back to this file";
        else if (++_count > MaximumFiles)
            problem = $"is one file too many; {MaximumFiles} is the most";
        SourceText? source = null;
        if (problem.Length == 0)
        {
            source = name.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal)
                ? BuiltinPolicies.Read(name[BuiltinPolicies.Prefix.Length..])
                : _files.Read(name, out problem);
            if (source is null && problem.Length == 0)
                problem = "is not a built-in policy";
        }

        if (source is not null)
            return Read(source);
        _diagnostics.Add(DiagnosticKind.Extends, extended.Span, $"{Quote.Value(extended.Value)} {problem}");
        return null;
    }

    /// <summary>Relative names are beside the file that mentions them.</summary>
    static string Resolve(string from, string name)
    {
        if (name.StartsWith('/') || name.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal))
            return name;
        if (from.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal))
            return BuiltinPolicies.Prefix + name;
        int slash = from.LastIndexOf('/');
        return slash < 0 ? name : from[..(slash + 1)] + name;
    }
}
