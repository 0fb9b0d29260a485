namespace Sandbox.Policy.Language;

// What sections deny that they, or what is extended, would give.
sealed partial class Binder
{
    const string Deny = "deny";

    static readonly string[] s_alwaysSet = ["HOME", "USER"];

    static bool IsDenial(YamlMap map) => map[Deny] is not null;

    HiddenFile? ReadHidden(YamlMap map) =>
        HasOnly(map) && ReadGuestPath((YamlScalar)map[Deny]!) is string path
            ? new HiddenFile(map.Span, Text(map["because"]), path)
            : null;

    DeniedDevice? ReadDeniedDevice(YamlMap map)
    {
        if (!HasOnly(map, "from"))
            return null;
        string? from = Text(map["from"]);
        if (from is not null && PathPattern.Literal(from, out string problem) is var literal)
        {
            if (literal is null)
            {
                Add(DiagnosticKind.BadValue, map["from"]!.Span, $"the host path {Quote.Value(from)} {problem}",
                    "leave from out to deny all of the kind");
                return null;
            }

            from = literal;
        }

        return new DeniedDevice(
            map.Span, Text(map["because"]), (DeviceKind)Array.IndexOf(DeviceKinds.Names, Text(map[Deny])), from);
    }

    /// <summary>What is denied has no properties; a diagnostic when it is given one.</summary>
    bool HasOnly(YamlMap map, params ReadOnlySpan<string> beside)
    {
        foreach ((YamlScalar key, YamlNode _) in map.Entries)
        {
            if (key.Value is Deny or "because" || beside.Contains(key.Value))
                continue;
            Add(DiagnosticKind.Conflict, key.Span, $"{key.Value} cannot stand beside deny",
                "leave it out, or make two entries of it");
            return false;
        }

        return true;
    }

    static bool IsName(string text) =>
        text.Length > 0 && !char.IsAsciiDigit(text[0]) && text.All(c => char.IsAsciiLetterOrDigit(c) || c == '_');

    List<Sourced<string>> ReadDeniedVariables(YamlNode? node)
    {
        var denied = new List<Sourced<string>>();
        foreach ((YamlScalar name, string? because) in Names(node))
        {
            if (s_alwaysSet.Contains(name.Value))
                Add(DiagnosticKind.BadValue, name.Span, $"{name.Value} is always set, from the guest's user",
                    "leave it out");
            // A name that is none denies nothing, however it reads.
            else if (!IsName(name.Value))
                Add(DiagnosticKind.BadValue, name.Span,
                    $"{Quote.Value(name.Value)} is no variable's name: letters, digits and _, not a digit first",
                    "name each variable");
            else
                denied.Add(new(name.Value, name.Span, because));
        }

        return denied;
    }
}
