namespace Sandbox.Vmm.Machine;

/// <summary>Why a machine guest ended.</summary>
public enum MachineEnd
{
    /// <summary>It has not.</summary>
    None,

    /// <summary>It wrote the sleep state S5 to ACPI's sleep control register.</summary>
    PoweredOff,

    /// <summary>It wrote to the reset register.</summary>
    Rebooted,

    /// <summary>It reset itself because its kernel had panicked, as <see cref="Devices.Power.PowerRegisters"/> can tell.</summary>
    Panicked,

    /// <summary>An exception could not be delivered, nor could the one that this raised (KVM_EXIT_SHUTDOWN).</summary>
    TripleFault,

    /// <summary>KVM cannot run it any further; the reason is in <see cref="VirtualMachine.FailureDetail"/>.</summary>
    Failed,

    /// <summary>The VMM stopped it.</summary>
    Stopped,
}
