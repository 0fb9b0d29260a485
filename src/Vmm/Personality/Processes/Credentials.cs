namespace Sandbox.Vmm.Personality;

/// <summary>User and group identities (credentials(7)). Immutable: a change makes a new one. Guest-only numbers.</summary>
public sealed record Credentials
{
    public required uint RealUid { get; init; }
    public required uint EffectiveUid { get; init; }
    public required uint SavedUid { get; init; }
    public required uint FileSystemUid { get; init; }
    public required uint RealGid { get; init; }
    public required uint EffectiveGid { get; init; }
    public required uint SavedGid { get; init; }
    public required uint FileSystemGid { get; init; }
    public uint[] Groups { get; init; } = [];

    public IdentitySet UserIds
    {
        get => new(RealUid, EffectiveUid, SavedUid, FileSystemUid);
        init => (RealUid, EffectiveUid, SavedUid, FileSystemUid) = value;
    }

    public IdentitySet GroupIds
    {
        get => new(RealGid, EffectiveGid, SavedGid, FileSystemGid);
        init => (RealGid, EffectiveGid, SavedGid, FileSystemGid) = value;
    }

    /// <summary>Uid 0 in the guest has every capability there; on the host it has none.</summary>
    public bool IsSuperuser => EffectiveUid == 0;

    public static Credentials Of(uint uid, uint gid) => new()
    {
        RealUid = uid, EffectiveUid = uid, SavedUid = uid, FileSystemUid = uid,
        RealGid = gid, EffectiveGid = gid, SavedGid = gid, FileSystemGid = gid,
    };
}
