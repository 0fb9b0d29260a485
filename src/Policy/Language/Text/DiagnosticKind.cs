namespace Sandbox.Policy.Language;

/// <summary>A kind of finding. Its name is stable: reports carry it, and people filter by it.</summary>
public sealed class DiagnosticKind
{
    DiagnosticKind(string name, Severity severity, string summary)
    {
        Name = name;
        Severity = severity;
        Summary = summary;
        s_all.Add(this);
    }

    static readonly List<DiagnosticKind> s_all = [];

    public static IReadOnlyList<DiagnosticKind> All => s_all;

    public string Name { get; }

    public Severity Severity { get; }

    public string Summary { get; }

    public static DiagnosticKind Syntax { get; } = Error("syntax", "The file is not YAML.");
    public static DiagnosticKind TooLarge { get; } = Error("too-large", "A bound on policy files is exceeded.");
    public static DiagnosticKind Anchor { get; } =
        Error("anchor", "Anchors, aliases and tags are not part of the language.");
    public static DiagnosticKind UnknownKey { get; } = Error("unknown-key", "A key that the language does not have.");
    public static DiagnosticKind DuplicateKey { get; } = Error("duplicate-key", "A key that is given twice.");
    public static DiagnosticKind MissingKey { get; } = Error("missing-key", "A key that must be there is not.");
    public static DiagnosticKind WrongType { get; } = Error("wrong-type", "A value of the wrong kind.");
    public static DiagnosticKind BadValue { get; } = Error("bad-value", "A value that cannot be what it stands for.");
    public static DiagnosticKind BadPattern { get; } = Error("bad-pattern", "A path pattern that cannot be compiled.");
    public static DiagnosticKind Conflict { get; } = Error("conflict", "Two entries that exclude each other.");
    public static DiagnosticKind Impossible { get; } =
        Error("impossible-rule", "A rule that no request can ever reach.");
    public static DiagnosticKind Shadowed { get; } =
        Error("shadowed-rule", "A rule that other rules leave without effect.");
    public static DiagnosticKind Extends { get; } =
        Error("extends", "What a policy extends cannot be read or leads in a circle.");
    public static DiagnosticKind Widening { get; } =
        Error("unexplained-widening", "A policy gives more than the one it extends, and does not say because.");

    public static DiagnosticKind MissingBecause { get; } =
        Warning("missing-because", "A rule does not say why it is there.");
    public static DiagnosticKind Broad { get; } =
        Warning("over-broad", "A rule that gives more than most programs need.");
    public static DiagnosticKind WriteExecute { get; } =
        Warning("write-and-execute", "A place whose files can be both written and executed.");
    public static DiagnosticKind WorldWritable { get; } =
        Warning("writable-host-folder", "A host folder that the guest can change.");
    public static DiagnosticKind NoLimit { get; } = Warning("no-limit", "A resource without a limit.");
    public static DiagnosticKind SecretPath { get; } =
        Warning("secret-path", "A host path that often holds secrets is shown.");
    public static DiagnosticKind SuperUser { get; } = Warning("super-user", "The guest's user is its root.");

    public static DiagnosticKind NotDecided { get; } =
        Warning("not-decided", "A part of a policy is too large for one of the other findings to be looked for.");

    static DiagnosticKind Error(string name, string summary) => new(name, Severity.Error, summary);

    static DiagnosticKind Warning(string name, string summary) => new(name, Severity.Warning, summary);
}
