using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// A policy that can be asked. Every answer is the index of a rule, and every rule knows its file, line and column.
/// </summary>
public sealed class CompiledPolicy
{
    CompiledPolicy(PolicyModel model, string home, PathRules paths, IReadOnlyList<IRule> pathRules)
    {
        Model = model;
        Home = home;
        Paths = paths;
        PathRuleList = pathRules;
        Network = NetworkCompiler.Compile(model.NetworkRules);
        SystemCallTables = SystemCallCompiler.Compile(model.SystemCallRules);
        SystemCalls = new SystemCallRules(SystemCallTables);
    }

    public PolicyModel Model { get; }

    /// <summary>What ~ stands for.</summary>
    public string Home { get; }

    public PathRules Paths { get; }

    /// <summary>What the indexes of <see cref="Paths"/> stand for: what is shown, the rules, what is hidden.</summary>
    public IReadOnlyList<IRule> PathRuleList { get; }

    public NetworkRules Network { get; }

    public SystemCallTables SystemCallTables { get; }

    public SystemCallRules SystemCalls { get; }

    /// <summary>Reads, composes and compiles a policy; null after a diagnostic.</summary>
    public static CompiledPolicy? Load(SourceText source, IPolicyFiles files, Diagnostics diagnostics) =>
        PolicyLoader.Load(source, files, diagnostics) is PolicyModel model
            ? Compile(model, UserOf(model).Home, diagnostics)
            : null;

    /// <param name="home">What ~ stands for.</param>
    public static CompiledPolicy? Compile(PolicyModel model, string home, Diagnostics diagnostics)
    {
        if (PathCompiler.Compile(PathRulesOf(model, home)) is PathTables tables)
            return new CompiledPolicy(
                model, home, new PathRules(tables), [.. model.Shown, .. model.PathRules, .. model.Hidden]);
        SourceSpan span = model.PathRules.Count > 0 ? model.PathRules[0].Span : new SourceSpan(model.Source, 1, 1, 1);
        diagnostics.Add(
            DiagnosticKind.BadPattern, span,
            "the path patterns are too entangled to be compiled", "use fewer wildcards behind one another");
        return null;
    }

    public static GuestUser UserOf(PolicyModel model) =>
        model.User is Sourced<string> user && UserText.TryParse(user.Value, out GuestUser parsed, out _)
            ? parsed
            : UserText.Default;

    internal static List<CompiledPathRule> PathRulesOf(PolicyModel model, string home)
    {
        var rules = new List<CompiledPathRule>();
        string[] places = [.. model.Shown.Select(shown => ExpandHome(shown.Path, home))];
        // The folders that lead to something shown and that nothing else shows: they can be looked at.
        var above = new HashSet<string>(StringComparer.Ordinal);
        var covering = new HashSet<string>(places, StringComparer.Ordinal);
        for (int i = 0; i < places.Length; i++)
        {
            ShownFile shown = model.Shown[i];
            NamePattern[] path = [.. PathPattern.LiteralNames(places[i])];
            rules.Add(new CompiledPathRule(
                i, true, shown.Access, [shown.IsLeaf ? path : [.. path, NamePattern.AnyNames]], IsShown: true));
            rules.Add(
                new CompiledPathRule(i, true, PathAccess.Read, [.. FoldersAbove(places[i], path, covering, above)]));
        }

        for (int i = 0; i < model.PathRules.Count; i++)
            rules.Add(new CompiledPathRule(
                places.Length + i, model.PathRules[i].Allow, model.PathRules[i].Access,
                [.. model.PathRules[i].Patterns.Select(
                    pattern => PathPattern.TryParse(pattern.Value, out _)!.Expand(home))]));
        // Also where something above is shown, or will be by a mount of the command line.
        int hidden = places.Length + model.PathRules.Count;
        for (int i = 0; i < model.Hidden.Count; i++)
            rules.Add(new CompiledPathRule(
                hidden + i, false, PathAccess.All,
                [[.. PathPattern.LiteralNames(ExpandHome(model.Hidden[i].Path, home)), NamePattern.AnyNames]]));
        return rules;
    }

    /// <param name="covering">All that is shown: what lies below one of them is no folder of this kind.</param>
    /// <param name="known">
    /// Folders found so far: each is the first's that leads through it, and so are those above it.
    /// </param>
    static IEnumerable<NamePattern[]> FoldersAbove(
        string place, NamePattern[] path, HashSet<string> covering, HashSet<string> known)
    {
        for (string above = place; above != "/";)
        {
            above = GuestPath.Parent(above);
            if (covering.Contains(above))
                yield break;
        }

        string folder = place;
        for (int length = path.Length - 1; length >= 0; length--)
        {
            folder = GuestPath.Parent(folder);
            if (!known.Add(folder))
                yield break;
            yield return path[..length];
        }
    }

    /// <summary>For each pattern of a rule: the folder above its first wildcard.</summary>
    public static IEnumerable<string> LiteralPrefixes(PathRule rule, string home) => rule.Patterns.Select(pattern =>
        "/" + string.Join('/', PathPattern.TryParse(pattern.Value, out _)!.Expand(home)
            .TakeWhile(name => name.Kind == NamePatternKind.Literal).Select(name => name.Key)));

    /// <summary>The guest path of something shown.</summary>
    public static string ExpandHome(string path, string home) => path.StartsWith('~') ? home + path[1..] : path;

    /// <summary>The network rules with the addresses that the names of hosts were found to have.</summary>
    public static NetworkRules Pin(
        PolicyModel model, IReadOnlyDictionary<string, IReadOnlyList<IPAddress>> addresses) =>
        NetworkCompiler.Compile(model.NetworkRules, addresses);
}
