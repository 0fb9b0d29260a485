using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

// The files section.
sealed partial class Binder
{
    /// <summary>The folder itself takes a page.</summary>
    const ulong MinimumFolder = 4096;

    static readonly string[] s_ownFolders = ["/proc", "/dev", "/sys"];

    static readonly string[] s_shownKinds = ["from", "memory", "text", "link", "generated", "own"];

    ShownFile? ReadShown(YamlMap map)
    {
        if (OneOf(map, "path", Deny) is null)
            return null;
        var path = (YamlScalar)map["path"]!;
        if (ReadGuestPath(path) is not string where)
            return null;
        YamlScalar what = path;
        string key = "from";
        if (map.Entries.Any(entry => s_shownKinds.Contains(entry.Key.Value)))
        {
            if (OneOf(map, s_shownKinds) is not { } given)
                return null;
            (key, what) = (given.Key.Value, (YamlScalar)given.Value);
        }

        if (key is "memory" or "own" && !Flag(what))
        {
            Add(DiagnosticKind.BadValue, what.Span, $"{key} can only be true",
                "leave the key out, and say what else appears");
            return null;
        }

        ShownKind kind = key switch
        {
            "memory" => ShownKind.Memory, "text" => ShownKind.Text, "link" => ShownKind.Link,
            "generated" => ShownKind.Generated, "own" => ShownKind.Own, _ => ShownKind.Host,
        };
        if (!CheckShown(map, kind, what, where)
            || !ReadBytes(map, "size", kind, ShownKind.Memory, "folders in memory", out ulong? size)
            || !ReadBytes(map, "quota", kind, ShownKind.Host, "host folders and files", out ulong? quota)
            || !ReadBytes(map, "rate", kind, ShownKind.Host, "host folders and files", out ulong? rate))
            return null;
        if (kind != ShownKind.Host && map["operations"] is YamlNode operations)
        {
            Add(DiagnosticKind.Conflict, operations.Span, "operations is for host folders and files only",
                "leave it out");
            return null;
        }

        bool content = kind is ShownKind.Host or ShownKind.Text or ShownKind.Link;
        return new ShownFile(map.Span, Text(map["because"]), where, kind, content ? what.Value : null)
        {
            Generated = kind == ShownKind.Generated
                ? (GeneratedFile)Array.IndexOf(Generated.Names, what.Value)
                : default,
            Access = ReadAccess(map["access"], kind),
            Mode = kind == ShownKind.Memory ? Convert.ToUInt32(Text(map["mode"]) ?? "700", 8) : 0,
            Size = size,
            Quota = quota,
            Rate = rate,
            Operations = Number(map["operations"]),
            Optional = Flag(map["optional"]),
        };
    }

    string? ReadGuestPath(YamlScalar path)
    {
        if (PathPattern.Literal(path.Value, out string unclear) is not string literal)
        {
            Add(DiagnosticKind.BadValue, path.Span, $"the guest path {Quote.Value(path.Value)} {unclear}",
                "patterns stand in files.rules");
            return null;
        }

        bool home = literal.StartsWith('~');
        string text = home ? literal[1..] : literal;
        if (home && text.Length == 0)
            return "~";
        if (!GuestPath.TryNormalize(text, out string normalized, out string problem))
        {
            Add(DiagnosticKind.BadValue, path.Span, home ? "only ~ and ~/ are known as homes" : problem);
            return null;
        }

        if (normalized == "/")
        {
            Add(DiagnosticKind.BadValue, path.Span, "nothing can become the guest's root", "name a folder in it");
            return null;
        }

        return home ? "~" + normalized : normalized;
    }

    bool CheckShown(YamlMap map, ShownKind kind, YamlScalar what, string where)
    {
        if (kind != ShownKind.Memory && map["mode"] is YamlNode mode)
        {
            Add(DiagnosticKind.Conflict, mode.Span, "mode is for folders in memory only", "leave it out");
            return false;
        }

        if (Scalars(map["access"]).FirstOrDefault(word => word.Value == AccessText.None) is YamlScalar none
            && Scalars(map["access"]).Count() > 1)
        {
            Add(DiagnosticKind.Conflict, none.Span, "none cannot stand beside other accesses", "leave one of them out");
            return false;
        }

        if (map["mode"] is YamlScalar { Value: string digits } bits
            && !(digits.Length is 3 or 4 && digits.All(c => c is >= '0' and <= '7')))
        {
            Add(DiagnosticKind.BadValue, bits.Span, $"mode: {Quote.Value(digits)} is not three or four octal digits");
            return false;
        }

        if (kind == ShownKind.Own != s_ownFolders.Contains(where)
            || (kind != ShownKind.Own
                && s_ownFolders.Any(own => GuestPath.IsWithin(where, own)) && where != "/dev/shm"))
        {
            Add(DiagnosticKind.BadValue, what.Span, "the guest's /proc, /dev and /sys are its own, and only they are",
                "write own: true with one of them");
            return false;
        }

        if (kind == ShownKind.Host && !what.Value.StartsWith('/'))
        {
            Add(DiagnosticKind.BadValue, what.Span, $"the host path {Quote.Value(what.Value)} must be absolute",
                "begin it with /, or write from:");
            return false;
        }

        if (kind == ShownKind.Link && what.Value.Length is 0 or > 4095
            || what.Value.Contains('\0', StringComparison.Ordinal))
        {
            Add(DiagnosticKind.BadValue, what.Span, "a link's target has 1 to 4095 characters, none of them NUL");
            return false;
        }

        if (kind is ShownKind.Text or ShownKind.Link or ShownKind.Generated
            && ReadAccess(map["access"], kind) is not PathAccess.Read)
        {
            Add(DiagnosticKind.Conflict, map["access"]!.Span, "such a file can only be read", "leave access out");
            return false;
        }

        return true;
    }

    /// <summary>A bound on what something shown may hold, or be made to hold.</summary>
    bool ReadBytes(YamlMap map, string key, ShownKind kind, ShownKind belongs, string to, out ulong? size)
    {
        size = null;
        if (map[key] is not YamlScalar text)
            return true;
        if (kind != belongs)
        {
            Add(DiagnosticKind.Conflict, text.Span, $"{key} is for {to} only", "leave it out");
            return false;
        }

        if (SizeText.TryParse(text.Value, out ulong bytes, out string problem) && bytes < MinimumFolder)
            problem = $"{SizeText.Format(bytes)} is too little; give at least {SizeText.Format(MinimumFolder)}";
        if (problem.Length > 0)
        {
            Add(DiagnosticKind.BadValue, text.Span, $"{key}: {problem}");
            return false;
        }

        size = bytes;
        return true;
    }

    static PathAccess ReadAccess(YamlNode? node, ShownKind kind)
    {
        if (node is not null)
            return ReadAccess(node);
        return kind switch
        {
            ShownKind.Host => PathAccess.Read | PathAccess.Execute,
            ShownKind.Memory or ShownKind.Own => PathAccess.All,
            _ => PathAccess.Read,
        };
    }

    static PathAccess ReadAccess(YamlNode node) =>
        Scalars(node).Where(word => word.Value != AccessText.None)
            .Aggregate(PathAccess.None, (all, word) => all | AccessText.Parse(word.Value));

    PathRule? ReadPathRule(YamlMap map)
    {
        if (OneOf(map, "allow", "deny") is not { } action)
            return null;
        var patterns = new List<Sourced<string>>();
        foreach (YamlScalar text in Scalars(map["path"]))
        {
            if (PathPattern.TryParse(text.Value, out string problem) is null)
                Add(DiagnosticKind.BadPattern, text.Span, $"the pattern {Quote.Value(text.Value)} {problem}");
            else
                patterns.Add(new Sourced<string>(text.Value, text.Span, null));
        }

        return patterns.Count == 0
            ? null
            : new PathRule(
                map.Span, Text(map["because"]), action.Key.Value == "allow", ReadAccess(action.Value), patterns);
    }
}
