namespace Sandbox.Policy.Language;

/// <summary>A path at and below which nothing appears, whatever shows it.</summary>
/// <param name="Path">Normalised; may begin with ~.</param>
public sealed record HiddenFile(SourceSpan Span, string? Because, string Path) : IRule
{
    public string Text => $"deny showing {Path}";
}

/// <summary>A device that the guest does not have, whatever gives it.</summary>
/// <param name="From">The host file behind it; null for all devices of the kind.</param>
public sealed record DeniedDevice(SourceSpan Span, string? Because, DeviceKind Kind, string? From) : IRule
{
    public string Text => $"deny {DeviceRule.NameOf(Kind, From)}";

    /// <param name="from">Null for a device that no host file is behind.</param>
    public bool IsAbout(DeviceKind kind, string? from) => Kind == kind && (From is null || From == from);
}
