namespace Sandbox.Vmm;

/// <summary>What a host thread of the VMM is there for. Each has a seccomp filter of its own: src/Filters.</summary>
[Flags]
enum ThreadRole
{
    /// <summary>Not taken yet: what holds for all threads.</summary>
    None = 0,

    /// <summary>Waits for the guest's end and writes the result record.</summary>
    Main = 1 << 0,

    /// <summary>Obeys the supervisor.</summary>
    Channel = 1 << 1,

    /// <summary>Runs guest threads, or serves calls of theirs.</summary>
    Guest = 1 << 2,

    /// <summary>Calls back when a timer is due.</summary>
    Timers = 1 << 3,

    /// <summary>Waits for the host's standard streams and sockets, or for the broker's answers.</summary>
    Streams = 1 << 4,

    /// <summary>The runtime's own: finalizers.</summary>
    Finalizers = 1 << 5,

    /// <summary>Runs a vCPU of a machine guest, and the registers of its devices.</summary>
    Vcpu = 1 << 6,

    /// <summary>Moves bytes between a machine guest's devices and the host.</summary>
    Device = 1 << 7,

    /// <summary>Makes rare system calls for those who answer the guest.</summary>
    Errands = 1 << 8,

    All = Main | Channel | Guest | Timers | Streams | Finalizers | Vcpu | Device | Errands,
}
