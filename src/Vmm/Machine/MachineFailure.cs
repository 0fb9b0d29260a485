namespace Sandbox.Vmm.Machine;

/// <summary>What made KVM unable to run a machine guest any further, or unwilling.</summary>
enum MachineFailure
{
    None,

    /// <summary>KVM_RUN failed; the value is a negative errno.</summary>
    Run,

    /// <summary>An instruction that it cannot emulate, or an event that it cannot deliver; the value is the suberror.</summary>
    Emulation,

    /// <summary>The processor refused the guest's state; the value is its reason.</summary>
    Entry,

    /// <summary>An exit that no guest of this VMM should cause; the value is KVM_EXIT_*.</summary>
    Exit,
}
