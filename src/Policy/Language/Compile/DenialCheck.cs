namespace Sandbox.Policy.Language;

/// <summary>
/// What a file denies must be there to be denied, where it extends something; and what it gives must not be denied, by
/// itself or by what it extends.
/// </summary>
sealed class DenialCheck
{
    /// <summary>Findings with a "did you mean": each is compared with all that is inherited.</summary>
    const int MaximumAdvice = 10;

    readonly PolicyModel _own;
    readonly Diagnostics _diagnostics;
    int _advice;

    DenialCheck(PolicyModel own, Diagnostics diagnostics)
    {
        _own = own;
        _diagnostics = diagnostics;
    }

    /// <param name="beneath">
    /// What is extended, composed; null when nothing is: then a deny binds whoever extends the file.
    /// </param>
    public static void Check(PolicyModel? beneath, PolicyModel own, Diagnostics diagnostics)
    {
        var check = new DenialCheck(own, diagnostics);
        string home = CompiledPolicy.UserOf(own.User is null && beneath is not null ? beneath : own).Home;
        check.RequireNotDenied(beneath, home);
        if (beneath is null)
            return;
        check.RequireShown(beneath, home);
        check.RequireDevices(beneath);
        check.RequireVariables(beneath);
    }

    void RequireNotDenied(PolicyModel? beneath, string home)
    {
        var hidden =
            new AbovePath<HiddenFile>((beneath?.Hidden ?? []).Concat(_own.Hidden), denied => denied.Path, home);
        foreach (ShownFile shown in _own.Shown)
            if (hidden.Find(CompiledPolicy.ExpandHome(shown.Path, home)) is HiddenFile deny)
                Denied(shown.Span, $"showing {shown.Path}", deny.Span);
        var devices = new DeniedDevices((beneath?.DeniedDevices ?? []).Concat(_own.DeniedDevices));
        foreach (DeviceRule device in _own.Devices)
            if (devices.For(device) is DeniedDevice deny)
                Denied(device.Span, device.Text, deny.Span);
        ILookup<string, SourceSpan> variables = (beneath?.DeniedVariables ?? []).Concat(_own.DeniedVariables)
            .ToLookup(denied => denied.Value, denied => denied.Span);
        foreach (Sourced<EnvironmentVariable> variable in _own.Environment)
            if (variables.Contains(variable.Value.Name))
                Denied(variable.Span, $"the variable {variable.Value.Name}", variables[variable.Value.Name].First());
    }

    void Denied(SourceSpan span, string what, SourceSpan deny) =>
        _diagnostics.Add(DiagnosticKind.Shadowed, span, $"{what} is denied at {deny}",
            "a deny overrides whatever gives it; leave this out");

    void RequireShown(PolicyModel beneath, string home)
    {
        string[] paths = [.. beneath.Shown.Concat(beneath.Withheld.OfType<ShownFile>()).Select(shown => shown.Path)];
        // All that something inherited is at or below.
        HashSet<string> known = new(StringComparer.Ordinal);
        foreach (string path in _own.Hidden.Count == 0 ? [] : paths)
            for (string above = CompiledPolicy.ExpandHome(path, home); above != "/" && known.Add(above);)
                above = GuestPath.Parent(above);
        var folders = new AbovePath<ShownFile>(beneath.Shown, shown => shown.Path, home);
        foreach (HiddenFile hidden in _own.Hidden)
            if (CompiledPolicy.ExpandHome(hidden.Path, home) is string path && !known.Contains(path))
            {
                bool isWithin = folders.Find(path) is not null;
                NotInherited(hidden.Span, $"nothing that this policy extends is shown at {Quote.Value(hidden.Path)}",
                    hidden.Path, isWithin ? [] : paths,
                    isWithin ? "what is in a folder that is shown is denied in files.rules" : "leave it out");
            }
    }

    void RequireDevices(PolicyModel beneath)
    {
        DeviceRule[] devices = [.. beneath.Devices, .. beneath.Withheld.OfType<DeviceRule>()];
        HashSet<(DeviceKind, string?)> known = [.. devices.SelectMany(
            device => ((DeviceKind, string?)[])[(device.Kind, null), (device.Kind, device.From)])];
        foreach (DeniedDevice denied in _own.DeniedDevices)
        {
            if (known.Contains((denied.Kind, denied.From)))
                continue;
            // Of a kind that is there it can only be the file.
            string[] files =
                [.. devices.Where(device => device.Kind == denied.Kind).Select(device => device.From).OfType<string>()];
            bool file = denied.From is not null && files.Length > 0;
            NotInherited(
                denied.Span, $"nothing that this policy extends has a {DeviceRule.NameOf(denied.Kind, denied.From)}",
                file ? denied.From! : DeviceKinds.Names[(int)denied.Kind],
                file ? files : [.. devices.Select(device => DeviceKinds.Names[(int)device.Kind])], "leave it out");
        }
    }

    void RequireVariables(PolicyModel beneath)
    {
        HashSet<string> known = [.. beneath.Environment.Select(variable => variable.Value.Name),
            .. beneath.DeniedVariables.Select(denied => denied.Value)];
        foreach (Sourced<string> denied in _own.DeniedVariables)
            if (!known.Contains(denied.Value))
                NotInherited(
                    denied.Span, $"nothing that this policy extends sets or passes {Quote.Value(denied.Value)}",
                    denied.Value, known, "leave it out");
    }

    void NotInherited(SourceSpan span, string message, string word, IEnumerable<string> known, string otherwise)
    {
        string? meant = _advice++ < MaximumAdvice ? Closest.Advice(word, known) : null;
        _diagnostics.Add(DiagnosticKind.Impossible, span, message, meant ?? otherwise);
    }
}
