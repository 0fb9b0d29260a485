using System.Net;
using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

public enum ShownKind
{
    /// <summary>A host file or folder.</summary>
    Host,
    Memory,
    Text,
    Link,
    Generated,
    /// <summary>The guest's own /proc, /dev or /sys.</summary>
    Own,
}

/// <summary>One thing that appears in the guest's tree.</summary>
/// <param name="Path">Normalised; may begin with ~.</param>
/// <param name="Content">The host path, the text, or the link's target.</param>
public sealed record ShownFile(SourceSpan Span, string? Because, string Path, ShownKind Kind, string? Content) : IRule
{
    public GeneratedFile Generated { get; init; }

    public PathAccess Access { get; init; }

    /// <summary>Permission bits of a folder in memory.</summary>
    public uint Mode { get; init; }

    /// <summary>Bytes that a folder in memory may hold; null for no bound of its own.</summary>
    public ulong? Size { get; init; }

    /// <summary>Bytes that the guest may add to a host folder or file; null for what the host has room for.</summary>
    public ulong? Quota { get; init; }

    /// <summary>
    /// Bytes a second of the disk that a host folder or file lies on; null for what the host gives.
    /// </summary>
    public ulong? Rate { get; init; }

    /// <summary>Operations a second of that disk; null for what the host gives.</summary>
    public ulong? Operations { get; init; }

    public bool Optional { get; init; }

    public string Text => $"show {Path} for {AccessText.Format(Access)}";

    /// <summary>Links and made-up files hold nothing; of the others everything below is shown too.</summary>
    internal bool IsLeaf => Kind is ShownKind.Text or ShownKind.Link or ShownKind.Generated;

    /// <summary>The same thing, with no more access and no looser bound.</summary>
    internal bool IsNoWiderThan(ShownFile other) =>
        (Kind, Content, Generated, Mode) == (other.Kind, other.Content, other.Generated, other.Mode)
        && (Access & ~other.Access) == 0 && Bound(Size) <= Bound(other.Size) && Bound(Quota) <= Bound(other.Quota)
        && Bound(Rate) <= Bound(other.Rate) && Bound(Operations) <= Bound(other.Operations);

    static ulong Bound(ulong? most) => most ?? ulong.MaxValue;
}

public sealed record PathRule(
    SourceSpan Span, string? Because, bool Allow, PathAccess Access, IReadOnlyList<Sourced<string>> Patterns) : IRule
{
    public string Text =>
        $"{(Allow ? "allow" : "deny")} {AccessText.Format(Access)} of "
            + $"{string.Join(", ", Patterns.Select(pattern => pattern.Value))}";
}

/// <summary>Whom a network rule is about: a host name (with *. for all below one) or a block of addresses.</summary>
public sealed record NetworkTarget(string? Name, IPNetwork Block)
{
    public override string ToString() => Name ?? Block.ToString();
}

/// <param name="FirstPort">0 to 65535; both 0 for resolve.</param>
public readonly record struct PortRange(ushort First, ushort Last)
{
    public static PortRange All { get; } = new(0, ushort.MaxValue);

    public override string ToString() => First == Last ? $"{First}" : $"{First}-{Last}";
}

public sealed record NetworkRule(
    SourceSpan Span, string? Because, bool Allow, NetworkAction Action, NetworkProtocol? Protocol,
    IReadOnlyList<NetworkTarget> Targets, IReadOnlyList<PortRange> Ports) : IRule
{
    public string Text
    {
        get
        {
            string protocol = Protocol is null || Action == NetworkAction.Resolve
                ? ""
                : $" {NetworkWords.Protocols[(int)Protocol]}";
            string ports = Ports is [{ First: 0, Last: ushort.MaxValue }] ? "" : " port " + string.Join(", ", Ports);
            return $"{(Allow ? "allow" : "deny")} {NetworkActions.Names[(int)Action]}{protocol} "
                + $"{string.Join(", ", Targets)}{ports}";
        }
    }
}

static class NetworkWords
{
    public static string[] Protocols { get; } = ["tcp", "udp"];
}

public sealed record SystemCallRule(
    SourceSpan Span, string? Because, bool Allow, IReadOnlyList<int> Numbers, IReadOnlyList<string> Names,
    IReadOnlyList<ArgumentCondition> Conditions, int Answer) : IRule
{
    /// <summary>An answer that ends the guest.</summary>
    public const int Kill = 0;

    public string Text =>
        $"{(Allow ? "allow" : "deny")} {string.Join(", ", Names)}" + (Conditions.Count == 0 ? "" : " under conditions");
}

public sealed record DeviceRule(
    SourceSpan Span, string? Because, DeviceKind Kind, string? From, bool Writable, ulong? BytesPerSecond,
    ulong? OperationsPerSecond = null) : IRule
{
    public string Text => NameOf(Kind, From);

    internal static string NameOf(DeviceKind kind, string? from) =>
        $"device {DeviceKinds.Names[(int)kind]}{(from is null ? "" : " from " + from)}";
}

static class AccessText
{
    /// <summary>In place of a list: what is shown can be used only as rules allow.</summary>
    public const string None = "none";

    public static string Format(PathAccess access) => access == PathAccess.None
        ? "nothing"
        : string.Join(", ", PolicySchema.Accesses.Where((_, bit) => ((int)access & (1 << bit)) != 0));

    public static PathAccess Parse(string name) => (PathAccess)(1 << PolicySchema.Accesses.ToList().IndexOf(name));
}
