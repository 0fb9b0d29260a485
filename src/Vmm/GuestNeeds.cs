namespace Sandbox.Vmm;

/// <summary>What a plan grants that takes system calls of its own: a VMM without it makes none of these.</summary>
[Flags]
enum GuestNeeds
{
    None = 0,

    /// <summary>A host folder in which the guest may write.</summary>
    Writing = 1 << 0,

    /// <summary>Sockets from the supervisor.</summary>
    Network = 1 << 1,

    All = Writing | Network,
}
