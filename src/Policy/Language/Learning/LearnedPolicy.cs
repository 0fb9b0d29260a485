using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Writes the least policy that covers what was seen: what the base shows and the program used, with no access of its
/// own, and rules that allow each access by its path, with counts. For review: it says what was, not what should be.
/// </summary>
public sealed class LearnedPolicy
{
    /// <summary>
    /// Files that are renamed so often one after another are followed; longer chains are not covered.
    /// </summary>
    const int MaximumRenames = 64;

    const string BaseDenies = "the base policy denies it";

    const string Denied = "although the base policy does not allow it";

    static readonly string[] s_ownFolders = ["/proc", "/dev", "/sys"];

    readonly PolicyModel _base;
    readonly CompiledPolicy _compiledBase;
    readonly string _home;
    readonly IReadOnlyList<GuestFile> _files;
    readonly Observations _seen;
    readonly StringBuilder _text = new();

    LearnedPolicy(CompiledPolicy @base, IReadOnlyList<GuestFile> files, Observations seen)
    {
        _compiledBase = @base;
        _base = @base.Model;
        _home = CompiledPolicy.UserOf(_base).Home;
        _files = files;
        _seen = seen;
    }

    /// <param name="base">
    /// The policy that was run, with what the command line added; sources of its mounts are absolute.
    /// </param>
    /// <param name="files">What the guest was shown.</param>
    /// <param name="program">For the description.</param>
    /// <param name="uncovered">Requests that the result does not cover, as folders that were renamed.</param>
    /// <param name="problem">Why there can be no such policy, when null is returned: it would be too large.</param>
    public static string? Write(
        CompiledPolicy @base, IReadOnlyList<GuestFile> files, Observations seen, string program,
        out IReadOnlyList<string> uncovered, out string problem)
    {
        uncovered = [];
        var learned = new LearnedPolicy(@base, files, seen);
        // What can be asked of it already needs no rule: made-up files, links, folders that only lead to others.
        if (Load(learned.WriteHead(program), out problem) is not CompiledPolicy shown)
            return null;
        learned._text.Append(learned.Rules(shown));
        learned.WriteNetwork();
        learned.WriteCalls();
        string text = learned._text.ToString();
        if (Load(text, out problem) is not CompiledPolicy result)
            return null;
        uncovered = learned.Uncovered(result);
        return text;
    }

    string WriteHead(string program)
    {
        _text.Append($"# What {Comment(program)} asked for in {_seen.Runs} run{(_seen.Runs == 1 ? "" : "s")}.\n");
        _text.Append("# Nothing here was judged: review each rule, and say why in its because.\n");
        if (_seen.Unnameable.Times > 0)
            _text.Append($"# Not covered: paths that no policy can name, asked for {_seen.Unnameable}.\n");
        _text.Append(PolicyText.Write(_base with
        {
            Description = $"Learned from {_seen.Runs} run{(_seen.Runs == 1 ? "" : "s")} of {program}; to be reviewed",
            Extends = [], Shown = [], Hidden = [], PathRules = [], NetworkRules = [], SystemCallRules = [],
            Devices = [], Freedoms = [],
        }, origins: false));
        _text.Append("files:\n  show:\n");
        foreach (ShownFile shown in _base.Shown.OrderBy(shown => shown.Path, StringComparer.Ordinal))
            Show(shown);
        foreach (HiddenFile hidden in _base.Hidden)
            _text.Append($"    - deny: {PolicyText.Literal(hidden.Path)}\n      because: "
                + $"{PolicyText.Scalar(hidden.Because ?? BaseDenies)}\n");
        return _text.ToString();
    }

    void Show(ShownFile shown)
    {
        string path = CompiledPolicy.ExpandHome(shown.Path, _home);
        GuestFile? file = _files.FirstOrDefault(file => file.Path == path);
        bool own = s_ownFolders.Contains(path);
        // Links lead to what is kept or to nothing; the guest's own folders are the guest's.
        bool kept = own || shown.Kind is ShownKind.Link or ShownKind.Memory || file?.Kind == GuestFileKind.Symlink
            || (file is not null && _seen.Paths.Keys.Any(request => GuestPath.IsWithin(request.Path, path)));
        if (!kept)
            return;
        _text.Append($"    - path: {PolicyText.Literal(shown.Path)}\n");
        string access = "      access: none\n";
        _text.Append(shown.Kind switch
        {
            ShownKind.Host when file?.Kind == GuestFileKind.Symlink =>
                $"      link: {PolicyText.Scalar(file.Content!)}\n",
            ShownKind.Host => $"      from: {PolicyText.Scalar(shown.Content!)}\n{access}",
            ShownKind.Memory =>
                $"      memory: true\n      mode: \"{Convert.ToString(shown.Mode, 8).PadLeft(3, '0')}\"\n{access}",
            ShownKind.Own => $"      own: true\n{access}",
            ShownKind.Text => $"      text: {PolicyText.Scalar(shown.Content!)}\n",
            ShownKind.Link => $"      link: {PolicyText.Scalar(shown.Content!)}\n",
            _ => $"      generated: {Generated.Names[(int)shown.Generated]}\n",
        });
        if (shown.Size is ulong size)
            _text.Append($"      size: {size}\n");
        if (shown.Quota is ulong quota && file?.Kind != GuestFileKind.Symlink)
            _text.Append($"      quota: {quota}\n");
        if (shown.Rate is ulong rate && file?.Kind != GuestFileKind.Symlink)
            _text.Append($"      rate: {rate}\n");
        if (shown.Operations is ulong operations && file?.Kind != GuestFileKind.Symlink)
            _text.Append($"      operations: {operations}\n");
        if (shown.Optional && shown.Kind == ShownKind.Host && file?.Kind != GuestFileKind.Symlink)
            _text.Append("      optional: true\n");
        _text.Append($"      because: {PolicyText.Scalar(shown.Because ?? "the base policy shows it")}\n");
    }

    string Rules(CompiledPolicy compiled)
    {
        PathRules shown = compiled.Paths;
        StringBuilder rules = new(), comments = new();
        string[] memory = [.. _base.Shown.Where(entry => entry.Kind == ShownKind.Memory)
            .Select(entry => CompiledPolicy.ExpandHome(entry.Path, _home))];
        SortedDictionary<PathRequest, Sightings> needed = Needed();
        for (int bit = 0; bit < PathTables.AccessCount; bit++)
        {
            var access = (PathAccess)(1 << bit);
            var free = new SortedDictionary<string, Sightings>(StringComparer.Ordinal);
            var denied = new SortedDictionary<string, Sightings>(StringComparer.Ordinal);
            foreach ((PathRequest request, Sightings seen) in needed.Where(pair => pair.Key.Access == access))
            {
                byte[] path = Encoding.UTF8.GetBytes(request.Path);
                bool isFree = _compiledBase.Paths.Decide(path, access).Allowed;
                if (shown.Decide(path, access).Allowed)
                {
                    if (!isFree)
                        comments.Append($"  # {Denied}; showing it allows it: "
                            + $"{Comment($"{new Request.Open(request.Path, access)}")}\n");
                    continue;
                }

                string pattern = Generalization.PatternOf(request.Path, memory, seen.Runs == _seen.Runs);
                SortedDictionary<string, Sightings> to = isFree ? free : denied;
                Sightings before = to.GetValueOrDefault(pattern);
                to[pattern] = new Sightings(before.Times + seen.Times, Math.Max(before.Runs, seen.Runs));
            }

            WriteRule(rules, access, free, "asked for");
            WriteRule(rules, access, denied, "asked for " + Denied);
        }

        rules.Append(PolicyText.Write(KeptDenies(compiled.Model, needed.Keys), "    "));
        return rules.Length == 0 ? $"{comments}" : $"  rules:\n{comments}{rules}";
    }

    /// <summary>
    /// The base's denies where something is shown, less the accesses and patterns that would deny what was asked for.
    /// </summary>
    List<PathRule> KeptDenies(PolicyModel kept, IReadOnlyCollection<PathRequest> needed)
    {
        string[] places =
            [.. kept.Shown.Select(shown => CompiledPolicy.ExpandHome(shown.Path, _home))];
        List<PathRule> denies =
        [
            .. _base.PathRules.Where(rule => !rule.Allow).SelectMany(rule => rule.Patterns
                .Zip(CompiledPolicy.LiteralPrefixes(rule, _home))
                .Where(pair => Array.Exists(places, place =>
                    GuestPath.IsWithin(place, pair.Second) || GuestPath.IsWithin(pair.Second, place)))
                .Select(pair => rule with { Patterns = [pair.First] })),
        ];
        bool hit = denies.Count > 0;
        while (hit)
        {
            hit = false;
            PolicyModel only = _base with { Shown = [], Hidden = [], PathRules = denies };
            if (CompiledPolicy.Compile(only, _home, new Diagnostics()) is not CompiledPolicy compiled)
                return [];
            foreach (PathRequest request in needed)
                if (compiled.Paths.Decide(Encoding.UTF8.GetBytes(request.Path), request.Access).Rule
                    is >= 0 and int rule && (denies[rule].Access & request.Access) != 0)
                {
                    denies[rule] = denies[rule] with { Access = denies[rule].Access & ~request.Access };
                    hit = true;
                }

            denies.RemoveAll(rule => rule.Access == PathAccess.None);
        }

        // Patterns of one rule that still deny the same stand together again.
        return [.. denies.GroupBy(rule => (rule.Span, rule.Access)).Select(same => same.First() with
        {
            Patterns = [.. same.SelectMany(rule => rule.Patterns)], Because = same.First().Because ?? BaseDenies,
        })];
    }

    /// <summary>
    /// What was asked for, and what that takes: looking needs some access, of which reading is the least; a file may
    /// only get another name under which no more is allowed than under the old one.
    /// </summary>
    SortedDictionary<PathRequest, Sightings> Needed()
    {
        var needed = new SortedDictionary<PathRequest, Sightings>(_seen.Paths.Comparer);
        foreach ((PathRequest request, Sightings seen) in _seen.Paths)
            if (request.Access != PathAccess.None)
                needed[request] = seen;
        var allowed = new Dictionary<string, PathAccess>(StringComparer.Ordinal);
        foreach (PathRequest request in needed.Keys)
            allowed[request.Path] = allowed.GetValueOrDefault(request.Path) | request.Access;
        bool grew = true;
        for (int round = 0; grew && round < MaximumRenames; round++)
        {
            grew = false;
            foreach (((string old, string renamed), Sightings seen) in _seen.Moves)
            {
                PathAccess more = allowed.GetValueOrDefault(renamed) & ~allowed.GetValueOrDefault(old);
                grew |= more != PathAccess.None;
                allowed[old] = allowed.GetValueOrDefault(old) | more;
                for (int bit = 0; bit < PathTables.AccessCount; bit++)
                    if ((more & (PathAccess)(1 << bit)) != 0)
                        needed[new PathRequest((PathAccess)(1 << bit), old)] = seen;
            }
        }

        foreach ((PathRequest request, Sightings seen) in _seen.Paths)
            if (request.Access == PathAccess.None && !allowed.ContainsKey(request.Path))
                needed.TryAdd(request with { Access = PathAccess.Read }, seen);
        return needed;
    }

    void WriteRule(StringBuilder rules, PathAccess access, SortedDictionary<string, Sightings> patterns, string because)
    {
        if (patterns.Count == 0)
            return;
        rules.Append($"    - allow: {AccessText.Format(access)}\n      path:\n");
        foreach ((string pattern, Sightings seen) in patterns)
            rules.Append($"        - {PolicyText.Scalar(pattern)}  # {seen}\n");
        rules.Append($"      because: {because} in {_seen.Runs} run{(_seen.Runs == 1 ? "" : "s")}, to be reviewed\n");
    }

    /// <summary>One rule for each host or address and protocol. What was refused is not covered, only told.</summary>
    void WriteNetwork()
    {
        foreach (((bool allowed, string request), Sightings seen) in _seen.Network)
            if (!allowed)
                _text.Append($"# The base policy does not allow, and the program did not get: {request}  # {seen}\n");
        var rules = new SortedDictionary<string, List<(string Port, Sightings Seen)>>(StringComparer.Ordinal);
        foreach (((bool allowed, string text), Sightings seen) in _seen.Network)
            if (allowed && Request.TryParse(text, _home, out _) is Request request)
            {
                (string head, string port) = NetworkRuleFor(request);
                if (!rules.TryGetValue(head, out List<(string, Sightings)>? ports))
                    rules.Add(head, ports = []);
                ports.Add((port, seen));
            }

        NetworkRule[] denies =
        [
            .. _base.NetworkRules.Where(rule => !rule.Allow)
                .Select(rule => rule with { Because = rule.Because ?? BaseDenies }),
        ];
        if (rules.Count + denies.Length > 0)
            _text.Append("network:\n");
        foreach ((string head, List<(string Port, Sightings Seen)> ports) in rules)
        {
            _text.Append(head);
            if (ports[0].Port.Length > 0)
                _text.Append("    port:\n");
            foreach ((string port, Sightings seen) in ports)
                _text.Append(port.Length > 0 ? $"      - {port}  # {seen}\n" : $"    # {seen}\n");
            _text.Append($"    because: used in {_seen.Runs} run{(_seen.Runs == 1 ? "" : "s")}, to be reviewed\n");
        }

        _text.Append(PolicyText.Write(denies, "  "));
    }

    static (string Head, string Port) NetworkRuleFor(Request request)
    {
        static string Head(string action, string to, NetworkProtocol? protocol) =>
            $"  - allow: {action}\n    to: {PolicyText.Scalar(to)}\n"
            + (protocol is NetworkProtocol one ? $"    protocol: {NetworkWords.Protocols[(int)one]}\n" : "");
        return request switch
        {
            Request.Connect connect => (Head("connect", connect.Host, connect.Protocol), $"{connect.Port}"),
            Request.Listen listen => (Head("listen", $"{listen.Address}", listen.Protocol), $"{listen.Port}"),
            Request.Resolve resolve => (Head("resolve", resolve.Name, null), ""),
            _ => throw new ArgumentOutOfRangeException(nameof(request)),
        };
    }

    /// <summary>
    /// What was made, and the base's denies: those under conditions as they are, of the others what was not made.
    /// </summary>
    void WriteCalls()
    {
        SystemCallRule[] denies =
            [.. _base.SystemCallRules.Where(rule => !rule.Allow).Select(KeptDeny).OfType<SystemCallRule>()];
        if (_seen.Calls.Count + denies.Length > 0)
            _text.Append("syscalls:\n");
        WriteCalls(_seen.Calls.Where(call => IsGiven(_base, call.Key)), "made");
        WriteCalls(_seen.Calls.Where(call => !IsGiven(_base, call.Key)), "made " + Denied);
        _text.Append(PolicyText.Write(denies, "  "));
    }

    void WriteCalls(IEnumerable<KeyValuePair<int, Sightings>> calls, string because)
    {
        if (!calls.Any())
            return;
        _text.Append("  - allow:\n");
        foreach ((int call, Sightings seen) in calls)
            _text.Append($"      - {PolicyText.Scalar(SystemCallNames.NameOf(call))}  # {seen}\n");
        _text.Append($"    because: {because} in {_seen.Runs} run{(_seen.Runs == 1 ? "" : "s")}, to be reviewed\n");
    }

    SystemCallRule? KeptDeny(SystemCallRule rule)
    {
        string because = rule.Because ?? BaseDenies;
        if (rule.Conditions.Count > 0 || !rule.Numbers.Any(_seen.Calls.ContainsKey))
            return rule with { Because = because };
        int[] left = [.. rule.Numbers.Where(call => !_seen.Calls.ContainsKey(call))];
        return left.Length == 0
            ? null
            : rule with { Because = because, Numbers = left, Names = [.. left.Select(SystemCallNames.NameOf)] };
    }

    /// <summary>With some arguments at least: which they were is not known.</summary>
    static bool IsGiven(PolicyModel policy, int call) =>
        policy.SystemCallRules.Any(rule => rule.Allow && rule.Numbers.Contains(call))
        && !policy.SystemCallRules.Any(
            rule => !rule.Allow && rule.Conditions.Count == 0 && rule.Numbers.Contains(call));

    List<string> Uncovered(CompiledPolicy result)
    {
        var uncovered = new List<string>();
        foreach (PathRequest request in _seen.Paths.Keys)
        {
            PathAccess allowed = result.Paths.Allowed(Encoding.UTF8.GetBytes(request.Path));
            if (request.Access == PathAccess.None
                ? allowed == PathAccess.None
                : (allowed & request.Access) == PathAccess.None)
                uncovered.Add(request.Access == PathAccess.None
                    ? $"look at {request.Path}"
                    : new Request.Open(request.Path, request.Access).ToString());
        }

        foreach ((string old, string renamed) in _seen.Moves.Keys)
            if ((result.Paths.Allowed(Encoding.UTF8.GetBytes(renamed)) & ~result.Paths.Allowed(
                Encoding.UTF8.GetBytes(old))) != PathAccess.None)
                uncovered.Add($"move {old} to {renamed}");
        foreach ((bool allowed, string text) in _seen.Network.Keys)
            if (Request.TryParse(text, _home, out _) is not Request request
                || !(allowed && Ask.About(result, request).Allowed))
                uncovered.Add(text);
        foreach (int call in _seen.Calls.Keys)
            if (!IsGiven(result.Model, call))
                uncovered.Add(new Request.SystemCall(call, []).ToString());
        return uncovered;
    }

    static CompiledPolicy? Load(string text, out string problem)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy =
            CompiledPolicy.Load(new SourceText("learned policy", text), new Nothing(), diagnostics);
        problem = policy is null ? $"{diagnostics.List[0].Span}: {diagnostics.List[0].Message}" : "";
        return policy;
    }

    static string Comment(string text) =>
        string.Concat(text.Select((c, at) => char.IsControl(c) || YamlReader.IsUnprintable(text, at) ? '?' : c));

    /// <summary>It extends nothing.</summary>
    sealed class Nothing : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem)
        {
            problem = "is not there";
            return null;
        }
    }
}
