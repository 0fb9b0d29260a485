namespace Sandbox.Vmm.Personality;

/// <summary>
/// The four ids that a process has as a user, and again as a group, and how calls may change them (credentials(7)). A
/// change that the kernel answers with EPERM is false.
/// </summary>
public readonly record struct IdentitySet(uint Real, uint Effective, uint Saved, uint FileSystem)
{
    /// <summary>"Leave as it is" in setresuid(2) and its relatives.</summary>
    public const uint Unchanged = uint.MaxValue;

    /// <summary>setuid(2), setgid(2).</summary>
    public bool TrySet(uint id, bool isSuperuser, out IdentitySet changed)
    {
        changed = isSuperuser ? new(id, id, id, id) : this with { Effective = id, FileSystem = id };
        return isSuperuser || id == Real || id == Saved;
    }

    /// <summary>setreuid(2), setregid(2).</summary>
    public bool TrySet(uint real, uint effective, bool isSuperuser, out IdentitySet changed)
    {
        uint newEffective = Choose(effective, Effective);
        bool saves = real != Unchanged || (effective != Unchanged && effective != Real);
        changed = new(Choose(real, Real), newEffective, saves ? newEffective : Saved, newEffective);
        return isSuperuser || ((real == Unchanged || real == Real || real == Effective) && Allows(effective));
    }

    /// <summary>setresuid(2), setresgid(2).</summary>
    public bool TrySet(uint real, uint effective, uint saved, bool isSuperuser, out IdentitySet changed)
    {
        uint newEffective = Choose(effective, Effective);
        changed = new(Choose(real, Real), newEffective, Choose(saved, Saved), newEffective);
        return isSuperuser || (Allows(real) && Allows(effective) && Allows(saved));
    }

    /// <summary>setfsuid(2), setfsgid(2): what may not be changed stays.</summary>
    public IdentitySet SetFileSystem(uint id, bool isSuperuser) =>
        id != Unchanged && (isSuperuser || Allows(id)) ? this with { FileSystem = id } : this;

    private bool Allows(uint id) => id == Unchanged || id == Real || id == Effective || id == Saved;

    private static uint Choose(uint wanted, uint present) => wanted == Unchanged ? present : wanted;
}
