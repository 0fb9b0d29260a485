using System.Text;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// A policy after composition, as one file that means the same, each value with the place that it comes from.
/// </summary>
public sealed class PolicyText
{
    readonly StringBuilder _text = new();
    readonly bool _origins;

    PolicyText(bool origins) => _origins = origins;

    /// <param name="origins">Say behind each value where it comes from.</param>
    public static string Write(PolicyModel model, bool origins = true)
    {
        var writer = new PolicyText(origins);
        writer.WriteModel(model);
        return writer._text.ToString();
    }

    /// <summary>Whether a path can stand in a policy and in comments as it is.</summary>
    public static bool CanSay(string path) =>
        !path.Any(char.IsControl) && !Enumerable.Range(0, path.Length).Any(at => YamlReader.IsUnprintable(path, at));

    /// <summary>Rules as entries of their section's list.</summary>
    internal static string Write(IReadOnlyList<IRule> rules, string indent)
    {
        var writer = new PolicyText(origins: false);
        writer.WriteEntries(rules, indent, rule => rule switch
        {
            PathRule path => Path(path),
            NetworkRule network => Network(network),
            SystemCallRule call => SystemCall(call),
            _ => throw new ArgumentOutOfRangeException(nameof(rules)),
        });
        return writer._text.ToString();
    }

    void WriteModel(PolicyModel model)
    {
        Line("version: 1");
        if (model.Description is not null)
            Line($"description: {Scalar(model.Description)}");
        if (model.IsFragment)
            Line("fragment: true");
        WriteGuest(model);
        if (model.Shown.Count + model.Hidden.Count + model.PathRules.Count > 0)
            Line("files:");
        Entries<IRule>("  show", [.. model.Shown, .. model.Hidden], "    ", rule =>
            rule is ShownFile shown ? Shown(shown) : Hidden((HiddenFile)rule));
        Entries("  rules", model.PathRules, "    ", Path);
        Entries("network", model.NetworkRules, "  ", Network);
        Entries("syscalls", model.SystemCallRules, "  ", SystemCall);
        Entries<IRule>("devices", [.. model.Devices, .. model.DeniedDevices], "  ", rule =>
            rule is DeviceRule device ? Device(device) : Denied((DeniedDevice)rule));
        Words("isolation", model.Isolation, wall => Walls.Names[(int)wall]);
        WriteAudit(model.Audit);
        Words("command-line", model.Freedoms, freedom => Freedoms.Names[(int)freedom]);
    }

    void WriteGuest(PolicyModel model)
    {
        int before = _text.Length;
        Line("guest:");
        int begun = _text.Length;
        if (model.Kind is Sourced<GuestKind> kind)
            Value("kind", kind.Value == GuestKind.Machine ? "machine" : "process", kind.Span, kind.Because);
        if (model.Platforms.Count > 0)
            Line($"  platforms: {List(model.Platforms.Select(platform => platform.Value))}", model.Platforms[0].Span);
        foreach (Resource resource in Enum.GetValues<Resource>())
            if (model.Limit(resource) is Sourced<ulong> limit)
                Value(Resources.Names[(int)resource], Compact(resource, limit.Value), limit.Span, limit.Because);
        if (model.User is Sourced<string> user)
            Value("user", Scalar(user.Value), user.Span, user.Because);
        if (model.Hostname is Sourced<string> hostname)
            Value("hostname", Scalar(hostname.Value), hostname.Span, hostname.Because);
        if (model.Environment.Any(variable => variable.Value.Value is not null))
            Line("  environment:");
        foreach (Sourced<EnvironmentVariable> variable in model.Environment.Where(
            variable => variable.Value.Value is not null))
            Line($"    {Scalar(variable.Value.Name)}: {Scalar(variable.Value.Value!)}", variable.Span);
        if (model.Environment.Any(variable => variable.Value.Value is null))
            Line("  pass-environment:");
        foreach (Sourced<EnvironmentVariable> variable in model.Environment.Where(
            variable => variable.Value.Value is null))
            Word("    ", Scalar(variable.Value.Name), variable.Span, variable.Because);
        if (model.DeniedVariables.Count > 0)
            Line("  deny-environment:");
        foreach (Sourced<string> denied in model.DeniedVariables)
            Word("    ", Scalar(denied.Value), denied.Span, denied.Because);
        // Nothing was said.
        if (_text.Length == begun)
            _text.Length = before;
    }

    /// <summary>As <see cref="SizeText"/> and <see cref="DurationText"/> read it back.</summary>
    static string Compact(Resource resource, ulong value) => value == Resources.Unlimited
        ? Resources.UnlimitedWords[(int)resource]!
        : Resources.Format(resource, value).Replace(" bytes", "", StringComparison.Ordinal)
            .Replace(" ", "", StringComparison.Ordinal);

    void Value(string key, string value, SourceSpan span, string? because) => Line(
        because is null ? $"  {key}: {value}" : $"  {key}: {{value: {value}, because: {Scalar(because)}}}", span);

    static List<(string, string)> Shown(ShownFile shown)
    {
        var keys = new List<(string, string)> { ("path", Literal(shown.Path)) };
        keys.Add(shown.Kind switch
        {
            ShownKind.Host => ("from", Scalar(shown.Content!)),
            ShownKind.Memory => ("memory", "true"),
            ShownKind.Text => ("text", Scalar(shown.Content!)),
            ShownKind.Link => ("link", Scalar(shown.Content!)),
            ShownKind.Generated => ("generated", Generated.Names[(int)shown.Generated]),
            _ => ("own", "true"),
        });
        if (shown.Kind is ShownKind.Host or ShownKind.Memory or ShownKind.Own)
            keys.Add(("access",
                shown.Access == PathAccess.None ? AccessText.None : List(AccessText.Format(shown.Access).Split(", "))));
        if (shown.Kind == ShownKind.Memory)
            keys.Add(("mode", $"\"{Convert.ToString(shown.Mode, 8).PadLeft(3, '0')}\""));
        if (shown.Size is ulong size)
            keys.Add(("size", $"{size}"));
        if (shown.Quota is ulong quota)
            keys.Add(("quota", $"{quota}"));
        if (shown.Rate is ulong bytes)
            keys.Add(("rate", $"{bytes}"));
        if (shown.Operations is ulong operations)
            keys.Add(("operations", $"{operations}"));
        if (shown.Optional)
            keys.Add(("optional", "true"));
        return keys;
    }

    static List<(string, string)> Hidden(HiddenFile rule) => [("deny", Literal(rule.Path))];

    /// <summary>A path where none may be a pattern.</summary>
    internal static string Literal(string path) => Scalar(PathPattern.Escape(path));

    static List<(string, string)> Path(PathRule rule) =>
    [
        (Action(rule.Allow), List(AccessText.Format(rule.Access).Split(", "))),
        ("path", List(rule.Patterns.Select(pattern => pattern.Value))),
    ];

    static List<(string, string)> Network(NetworkRule rule)
    {
        var keys = new List<(string, string)>
        {
            (Action(rule.Allow), NetworkActions.Names[(int)rule.Action]),
            ("to", List(rule.Targets.Select(target => target.ToString()))),
        };
        if (rule.Protocol is NetworkProtocol protocol)
            keys.Add(("protocol", NetworkWords.Protocols[(int)protocol]));
        if (rule.Action != NetworkAction.Resolve && rule.Ports is not [{ First: 0, Last: ushort.MaxValue }])
            keys.Add(("port", List(rule.Ports.Select(port => port.ToString()))));
        return keys;
    }

    static List<(string, string)> SystemCall(SystemCallRule rule)
    {
        var keys = new List<(string, string)> { (Action(rule.Allow), List(rule.Names)) };
        if (rule.Conditions.Count > 0)
            keys.Add(("when", $"[{string.Join(", ", rule.Conditions.Select(Condition))}]"));
        if (!rule.Allow && rule.Answer != ErrnoNames.Default)
            keys.Add(("answer", rule.Answer == SystemCallTables.Kill ? "kill" : ErrnoNames.NameOf(rule.Answer)));
        return keys;
    }

    static string Condition(ArgumentCondition condition)
    {
        bool whole = condition.Mask > uint.MaxValue;
        string mask = condition.Mask is ulong.MaxValue or uint.MaxValue ? "" : $", mask: 0x{condition.Mask:x}";
        return $"{{argument: {condition.Argument}, as: {(whole ? "long" : "int")}{mask}, is: "
            + $"\"{Comparisons.Names[(int)condition.Comparison]}\", value: 0x{condition.Value:x}}}";
    }

    static List<(string, string)> Device(DeviceRule rule)
    {
        var keys = new List<(string, string)> { ("device", DeviceKinds.Names[(int)rule.Kind]) };
        if (rule.From is not null)
            keys.Add(("from", Scalar(rule.From)));
        if (rule.Writable)
            keys.Add(("writable", "true"));
        if (rule.BytesPerSecond is ulong rate)
            keys.Add(("rate", $"{rate}"));
        if (rule.OperationsPerSecond is ulong operations)
            keys.Add(("operations", $"{operations}"));
        return keys;
    }

    static List<(string, string)> Denied(DeniedDevice rule)
    {
        var keys = new List<(string, string)> { ("deny", DeviceKinds.Names[(int)rule.Kind]) };
        if (rule.From is not null)
            keys.Add(("from", Literal(rule.From)));
        return keys;
    }

    void WriteAudit(Sourced<AuditSection>? audit)
    {
        if (audit is null)
            return;
        Line("audit:", audit.Span);
        Line($"  record: {List(audit.Value.Record.Select(events => events.ToString().ToLowerInvariant()))}");
        Line($"  to: {Scalar(audit.Value.To)}");
        Line($"  when-full: {audit.Value.WhenFull.ToString().ToLowerInvariant()}");
        if (audit.Because is not null)
            Line($"  because: {Scalar(audit.Because)}");
    }

    void Entries<T>(
        string key, IReadOnlyList<T> rules, string indent, Func<T, List<(string Key, string Value)>> keys)
        where T : IRule
    {
        if (rules.Count > 0)
            Line($"{key}:");
        WriteEntries(rules, indent, keys);
    }

    void WriteEntries<T>(IReadOnlyList<T> rules, string indent, Func<T, List<(string Key, string Value)>> keys)
        where T : IRule
    {
        foreach (T rule in rules)
        {
            List<(string Key, string Value)> all = keys(rule);
            if (rule.Because is not null)
                all.Add(("because", Scalar(rule.Because)));
            for (int i = 0; i < all.Count; i++)
                Line($"{indent}{(i == 0 ? "- " : "  ")}{all[i].Key}: {all[i].Value}", i == 0 ? rule.Span : null);
        }
    }

    void Words<T>(string key, IReadOnlyList<Sourced<T>> words, Func<T, string> name)
    {
        if (words.Count > 0)
            Line($"{key}:");
        foreach (Sourced<T> word in words)
            Word("  ", name(word.Value), word.Span, word.Because);
    }

    void Word(string indent, string value, SourceSpan span, string? because) =>
        Line(
            because is null ? $"{indent}- {value}" : $"{indent}- {{value: {value}, because: {Scalar(because)}}}", span);

    static string Action(bool allow) => allow ? "allow" : "deny";

    static string List(IEnumerable<string> items)
    {
        string[] all = [.. items.Select(Scalar)];
        return all.Length == 1 ? all[0] : $"[{string.Join(", ", all)}]";
    }

    /// <summary>Plain where that is read back as the same text in any place, else in double quotes.</summary>
    internal static string Scalar(string text)
    {
        bool plain = text.Length > 0 && (char.IsAsciiLetterOrDigit(text[0]) || text[0] is '/' or '.')
            && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '/' or '.' or '-' or '_' or ' ')
            && text is not ("null" or "true" or "false") && text[^1] != ' ';
        if (plain)
            return text;
        var quoted = new StringBuilder("\"");
        for (int i = 0; i < text.Length; i++)
            quoted.Append(text[i] switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\t' => "\\t",
                '\r' => "\\r",
                < ' ' => $"\\x{(int)text[i]:x2}",
                _ when YamlReader.IsUnprintable(text, i) && char.IsHighSurrogate(text[i]) =>
                    $"\\U{char.ConvertToUtf32(text, i++):x8}",
                _ when YamlReader.IsUnprintable(text, i) => $"\\u{(int)text[i]:x4}",
                _ => text[i].ToString(),
            });
        return quoted.Append('"').ToString();
    }

    void Line(string text, SourceSpan? origin = null)
    {
        _text.Append(text);
        if (_origins && origin is SourceSpan span)
            _text.Append($"  # {span}");
        _text.Append('\n');
    }
}
