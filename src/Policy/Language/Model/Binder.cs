using System.Globalization;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// Reads the values of a file whose shape has been checked. Each section has a part of this class; a bad value is a
/// diagnostic, and its rule is left out.
/// </summary>
sealed partial class Binder
{
    /// <summary>Rules of all sections in one file, and in one policy with what it extends.</summary>
    public const int MaximumRules = 10_000;

    readonly SourceText _source;
    readonly Diagnostics _diagnostics;

    Binder(SourceText source, Diagnostics diagnostics)
    {
        _source = source;
        _diagnostics = diagnostics;
    }

    /// <summary>
    /// What the file says by itself, or null when its shape is wrong. Values may still have been wrong.
    /// </summary>
    public static PolicyModel? Read(SourceText source, Diagnostics diagnostics)
    {
        if (YamlReader.Read(source, diagnostics) is not YamlNode node)
            return null;
        SchemaCheck.Check(node, PolicySchema.Root, "a policy", diagnostics);
        return diagnostics.HasErrors ? null : new Binder(source, diagnostics).ReadRoot((YamlMap)node);
    }

    PolicyModel ReadRoot(YamlMap root)
    {
        YamlMap? guest = root["guest"] as YamlMap;
        YamlMap? files = root["files"] as YamlMap;
        var model = new PolicyModel
        {
            Source = _source,
            Description = Text(root["description"]),
            IsFragment = Flag(root["fragment"]),
            Extends = [.. Scalars(root["extends"]).Select(file => new Sourced<string>(file.Value, file.Span, null))],
            Kind = guest?["kind"] is YamlNode kind
                ? Reasoned(kind, scalar => scalar.Value == "machine" ? GuestKind.Machine : GuestKind.Process)
                : null,
            Platforms =
                [.. Scalars(guest?["platforms"]).Select(name => new Sourced<string>(name.Value, name.Span, null))],
            Limits = ReadLimits(guest),
            User = ReadUser(guest?["user"]),
            Hostname = ReadHostname(guest?["hostname"]),
            Environment = ReadEnvironment(guest),
            DeniedVariables = ReadDeniedVariables(guest?["deny-environment"]),
            Shown = ReadAll(files?["show"], map => IsDenial(map) ? null : ReadShown(map)),
            Hidden = ReadAll(files?["show"], map => IsDenial(map) ? ReadHidden(map) : null),
            PathRules = ReadAll(files?["rules"], ReadPathRule),
            NetworkRules = ReadAll(root["network"], ReadNetworkRule),
            SystemCallRules = ReadAll(root["syscalls"], ReadSystemCallRule),
            Devices = ReadAll(root["devices"], map => IsDenial(map) ? null : ReadDevice(map)),
            DeniedDevices = ReadAll(root["devices"], map => IsDenial(map) ? ReadDeniedDevice(map) : null),
            Isolation = ReadWords(root["isolation"], Walls.Names, index => (Wall)index),
            Audit = ReadAudit(root["audit"]),
            Freedoms = ReadWords(root["command-line"], Freedoms.Names, index => (Freedom)index),
            SaysFreedoms = root["command-line"] is not null,
        };
        int rules = model.Rules.Count();
        if (rules > MaximumRules)
            Add(DiagnosticKind.TooLarge, root.Span, $"the policy has {rules} rules; {MaximumRules} is the most");
        return model;
    }

    void Add(DiagnosticKind kind, SourceSpan span, string message, string? advice = null) =>
        _diagnostics.Add(kind, span, message, advice);

    List<T> ReadAll<T>(YamlNode? list, Func<YamlMap, T?> read) where T : class
    {
        var all = new List<T>();
        if (list is YamlList items)
            foreach (YamlNode item in items.Items)
                if (read((YamlMap)item) is T value)
                    all.Add(value);
        return all;
    }

    List<Sourced<T>> ReadWords<T>(YamlNode? list, string[] names, Func<int, T> value)
    {
        var all = new List<Sourced<T>>();
        if (list is YamlList items)
            foreach (YamlNode item in items.Items)
                all.Add(Reasoned(item, scalar => value(Array.IndexOf(names, scalar.Value)))!);
        return all;
    }

    /// <summary>A value in its short or its long form.</summary>
    static Sourced<T> Reasoned<T>(YamlNode node, Func<YamlScalar, T> read)
    {
        (YamlScalar scalar, string? because) = Unwrap(node);
        return new Sourced<T>(read(scalar), scalar.Span, because);
    }

    static (YamlScalar Value, string? Because) Unwrap(YamlNode node) => node is YamlMap map
        ? ((YamlScalar)map["value"]!, Text(map["because"]))
        : ((YamlScalar)node, null);

    static string? Text(YamlNode? node) => (node as YamlScalar)?.Value;

    static bool Flag(YamlNode? node) => node is YamlScalar { Value: "true" };

    public static IEnumerable<YamlScalar> Scalars(YamlNode? node) => node switch
    {
        YamlList list => list.Items.Cast<YamlScalar>(),
        YamlScalar scalar => [scalar],
        _ => [],
    };

    /// <summary>The one of several keys that is there; a diagnostic when it is not exactly one.</summary>
    KeyValuePair<YamlScalar, YamlNode>? OneOf(YamlMap map, params ReadOnlySpan<string> keys)
    {
        KeyValuePair<YamlScalar, YamlNode>? found = null;
        foreach (KeyValuePair<YamlScalar, YamlNode> entry in map.Entries)
        {
            if (!keys.Contains(entry.Key.Value))
                continue;
            if (found is not null)
            {
                Add(DiagnosticKind.Conflict, entry.Key.Span,
                    $"{entry.Key.Value} cannot stand beside {found.Value.Key.Value}", "make two entries of it");
                return null;
            }

            found = entry;
        }

        if (found is null)
            Add(DiagnosticKind.MissingKey, map.Span, $"one of {string.Join(", ", keys.ToArray())} is missing here");
        return found;
    }

    Sourced<ulong>?[] ReadLimits(YamlMap? guest)
    {
        var limits = new Sourced<ulong>?[Resources.Names.Length];
        for (int i = 0; i < limits.Length; i++)
            if (guest?[Resources.Names[i]] is YamlNode node)
            {
                (YamlScalar scalar, string? because) = Unwrap(node);
                if (ReadLimit((Resource)i, scalar) is ulong value)
                    limits[i] = new Sourced<ulong>(value, scalar.Span, because);
            }

        return limits;
    }

    ulong? ReadLimit(Resource resource, YamlScalar scalar)
    {
        if (scalar.Value == Resources.UnlimitedWords[(int)resource])
            return Resources.Unlimited;
        string problem;
        ulong value = 0;
        switch (resource)
        {
            case Resource.Memory or Resource.Output or Resource.TmpSize:
                if (SizeText.TryParse(scalar.Value, out value, out problem))
                {
                    ulong least = resource == Resource.Memory ? 4UL << 20 : resource == Resource.Output ? 1UL : 0;
                    if (value < least)
                        problem = $"{SizeText.Format(value)} is too little; give at least {SizeText.Format(least)}";
                }

                break;
            case Resource.Time or Resource.CpuTime:
                DurationText.TryParse(scalar.Value, out long milliseconds, out problem);
                value = (ulong)milliseconds;
                break;
            default:
                int most = resource switch { Resource.Cpus => 256, Resource.Processes => 4096, _ => 1 << 20 };
                int fewest = resource == Resource.OpenFiles ? 3 : 1;
                problem = int.TryParse(scalar.Value, NumberStyles.None, CultureInfo.InvariantCulture, out int count)
                    && count >= fewest && count <= most
                    ? ""
                    : $"{Quote.Value(scalar.Value)} is not a whole number from {fewest} to {most}";
                value = (uint)count;
                break;
        }

        if (problem.Length == 0)
            return value;
        Add(DiagnosticKind.BadValue, scalar.Span, $"{Resources.Names[(int)resource]}: {problem}");
        return null;
    }

    Sourced<string>? ReadUser(YamlNode? node)
    {
        if (node is null)
            return null;
        Sourced<string> user = Reasoned(node, scalar => scalar.Value);
        if (UserText.TryParse(user.Value, out _, out string problem))
            return user;
        Add(DiagnosticKind.BadValue, user.Span, $"user: {problem}");
        return null;
    }

    Sourced<string>? ReadHostname(YamlNode? node)
    {
        if (node is null)
            return null;
        Sourced<string> name = Reasoned(node, scalar => scalar.Value);
        if (HostnameText.IsValid(name.Value, out string problem))
            return name;
        Add(DiagnosticKind.BadValue, name.Span, $"hostname: {problem}");
        return null;
    }

    List<Sourced<EnvironmentVariable>> ReadEnvironment(YamlMap? guest)
    {
        var variables = new List<Sourced<EnvironmentVariable>>();
        if (guest?["environment"] is YamlMap map)
            foreach ((YamlScalar name, YamlNode value) in map.Entries)
                if (IsVariable(name, ((YamlScalar)value).Value))
                    variables.Add(new(new(name.Value, ((YamlScalar)value).Value), name.Span, null));
        foreach ((YamlScalar name, string? because) in Names(guest?["pass-environment"]))
            if (IsVariable(name, ""))
                variables.Add(new(new(name.Value, null), name.Span, because));
        return variables;
    }

    /// <summary>One name or several, each in its short or its long form.</summary>
    static IEnumerable<(YamlScalar Value, string? Because)> Names(YamlNode? node) =>
        (node is YamlList list ? list.Items : node is null ? [] : [node]).Select(Unwrap);

    bool IsVariable(YamlScalar name, string value)
    {
        if (name.Value.Length > 0
            && name.Value.AsSpan().IndexOfAny('=', '\0') < 0
            && !value.Contains('\0', StringComparison.Ordinal))
            return true;
        Add(DiagnosticKind.BadValue, name.Span, $"{Quote.Value(name.Value)} cannot be a variable's name");
        return false;
    }

    Sourced<AuditSection>? ReadAudit(YamlNode? node)
    {
        if (node is not YamlMap map)
            return null;
        string[] events = ["lifecycle", "denials", "decisions"], full = ["block", "drop", "stop"];
        AuditEvents[] record =
            [.. Scalars(map["record"]).Select(word => (AuditEvents)Array.IndexOf(events, word.Value))];
        var to = (YamlScalar)map["to"]!;
        if (!to.Value.StartsWith('/') || to.Value.Contains('\0', StringComparison.Ordinal))
            Add(DiagnosticKind.BadValue, to.Span,
                $"the log {Quote.Value(to.Value)} must be an absolute path of this host", "begin it with /");
        var section = new AuditSection(record, to.Value, (WhenFull)Array.IndexOf(full, Text(map["when-full"])));
        return new Sourced<AuditSection>(section, map.Span, Text(map["because"]));
    }

    DeviceRule? ReadDevice(YamlMap map)
    {
        if (OneOf(map, "device", Deny) is null)
            return null;
        ulong? rate = null;
        if (map["rate"] is YamlScalar scalar)
        {
            if (!SizeText.TryParse(scalar.Value, out ulong bytes, out string problem))
            {
                Add(DiagnosticKind.BadValue, scalar.Span, $"rate: {problem}");
                return null;
            }

            if (bytes == 0)
                Add(DiagnosticKind.BadValue, scalar.Span, "rate: 0 bytes a second let nothing pass",
                    "leave the device out");
            rate = bytes;
        }

        var kind = (DeviceKind)Array.IndexOf(DeviceKinds.Names, Text(map["device"]));
        string? from = Text(map["from"]);
        if (from is null && kind is DeviceKind.Block or DeviceKind.Vsock)
            Add(DiagnosticKind.MissingKey, map.Span,
                $"a {DeviceKinds.Names[(int)kind]} device needs from: {WhatIsBehind(kind)}");
        else if (from is not null && (!from.StartsWith('/') || from.Contains('\0', StringComparison.Ordinal)))
            Add(DiagnosticKind.BadValue, map["from"]!.Span,
                $"{Quote.Value(from)} must be an absolute path of this host", "begin it with /");
        if (from is not null && kind == DeviceKind.Network)
            Add(DiagnosticKind.BadValue, map["from"]!.Span, "a network device is no file of the host's",
                "name its TAP device with --tap");
        else
            OnlyFor("from", DeviceKind.Block, DeviceKind.Vsock);
        OnlyFor("writable", DeviceKind.Block);
        OnlyFor("rate", DeviceKind.Block, DeviceKind.Network, DeviceKind.Random);
        OnlyFor("operations", DeviceKind.Block, DeviceKind.Network);
        return new DeviceRule(map.Span, Text(map["because"]), kind, from, Flag(map["writable"]), rate,
            Number(map["operations"]));

        // What would do nothing reads as if it did something.
        void OnlyFor(string key, params ReadOnlySpan<DeviceKind> kinds)
        {
            if (map[key] is not YamlNode value || kinds.Contains(kind))
                return;
            string[] names = [.. kinds.ToArray().Select(one => DeviceKinds.Names[(int)one])];
            string all = names.Length == 1 ? names[0] : $"{string.Join(", ", names[..^1])} and {names[^1]}";
            Add(DiagnosticKind.Conflict, value.Span, $"{key} is for {all} devices only", "leave it out");
        }
    }

    /// <summary>A whole number that the schema has checked; null without.</summary>
    static ulong? Number(YamlNode? node) =>
        Text(node) is string text ? ulong.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture) : null;

    static string WhatIsBehind(DeviceKind kind) =>
        kind == DeviceKind.Block ? "an image or a block device" : "the socket at which programs of the host connect";
}
