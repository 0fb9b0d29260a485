namespace Sandbox.Policy.Language;

/// <summary>Where policy files come from. The language itself opens nothing.</summary>
public interface IPolicyFiles
{
    /// <summary>A file's text, or null with what is wrong, as in "cannot be read: permission denied".</summary>
    SourceText? Read(string name, out string problem);

    /// <summary>The same of a name that no file has, but that the caller gave: it may mean what he has open.</summary>
    SourceText? ReadGiven(string name, out string problem) => Read(name, out problem);

    /// <summary>What a built-in file says by itself, if that has been read before; null to have it read.</summary>
    /// <param name="name">With the prefix.</param>
    PolicyModel? Known(string name) => null;
}

/// <summary>The policies that are part of this program, under the names that begin with builtin:.</summary>
public static class BuiltinPolicies
{
    public const string Prefix = "builtin:";

    /// <summary>What applies where no policy is named; without the prefix.</summary>
    public const string Default = "default.yaml";

    public static IEnumerable<string> Names => typeof(BuiltinPolicies).Assembly.GetManifestResourceNames().Order();

    /// <param name="name">Without the prefix, as in default.yaml.</param>
    public static SourceText? Read(string name)
    {
        if (name.Length == 0)
            return null;
        using Stream? stream = typeof(BuiltinPolicies).Assembly.GetManifestResourceStream(name);
        if (stream is null)
            return null;
        using var reader = new StreamReader(stream);
        return new SourceText(Prefix + name, reader.ReadToEnd());
    }

    /// <summary>What is wrong with the name of one that is not there.</summary>
    /// <param name="name">Without the prefix.</param>
    public static string Missing(string name) => "is not a built-in policy; "
        + (Closest.Name(name, Names) is string meant
            ? $"did you mean {Prefix}{meant}?"
            : $"it is one of {string.Join(", ", Names)}");

    /// <param name="name">With the prefix, of a policy that is there.</param>
    public static string TextOf(string name) => Read(name[Prefix.Length..])!.Content;
}
