namespace Sandbox.Policy.Language;

/// <summary>Reads a policy with everything that it extends.</summary>
public sealed class PolicyLoader
{
    /// <summary>Files of one policy together.</summary>
    internal const int MaximumFiles = 32;

    /// <summary>UTF-16 units in the files of one policy together.</summary>
    const int MaximumText = 4 << 20;

    readonly IPolicyFiles _files;
    readonly Diagnostics _diagnostics;
    readonly List<string> _open = [];
    int _count;
    int _text;
    int _rules;

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
        if (!IsWithin(ref _text, source.Content.Length, MaximumText, "characters", source))
            return null;
        PolicyModel? own = source.Name.StartsWith(BuiltinPolicies.Prefix, StringComparison.Ordinal)
            ? _files.Known(source.Name)
            : null;
        own ??= Binder.Read(source, _diagnostics);
        if (own is null
            || _diagnostics.HasErrors
            || !IsWithin(ref _rules, own.Rules.Count(), Binder.MaximumRules, "rules", source))
            return null;
        PolicyModel? beneath = null;
        foreach (Sourced<string> extended in own.Extends)
        {
            if (Extended(source, extended) is not PolicyModel model)
                return null;
            beneath = beneath is null ? model : Composition.Beside(beneath, model, _diagnostics);
        }

        _open.RemoveAt(_open.Count - 1);
        if (beneath is not null)
            return Composition.Extend(beneath, own, _diagnostics);
        DenialCheck.Check(null, own, _diagnostics);
        return own;
    }

    /// <summary>Adds to what has been read so far. Reading ends at a bound, not behind it.</summary>
    bool IsWithin(ref int sum, int more, int most, string what, SourceText source)
    {
        sum += more;
        if (sum <= most)
            return true;
        _diagnostics.Add(
            DiagnosticKind.TooLarge, new SourceSpan(source, 1, 1, 1),
            $"with this file the policy has more than {most} {what}", "let it extend less");
        return false;
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
                problem = BuiltinPolicies.Missing(name[BuiltinPolicies.Prefix.Length..]);
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
