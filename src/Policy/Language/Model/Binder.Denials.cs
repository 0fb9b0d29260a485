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

    DeniedDevice? ReadDeniedDevice(YamlMap map) => HasOnly(map, "from")
        ? new DeniedDevice(map.Span, Text(map["because"]),
            (DeviceKind)Array.IndexOf(DeviceKinds.Names, Text(map[Deny])), Text(map["from"]))
        : null;

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

    List<Sourced<string>> ReadDeniedVariables(YamlNode? node)
    {
        var denied = new List<Sourced<string>>();
        foreach ((YamlScalar name, string? because) in Names(node))
        {
            if (s_alwaysSet.Contains(name.Value))
                Add(DiagnosticKind.BadValue, name.Span, $"{name.Value} is always set, from the guest's user",
                    "leave it out");
            else if (IsVariable(name, ""))
                denied.Add(new(name.Value, name.Span, because));
        }

        return denied;
    }
}
