namespace Sandbox.Policy.Contract;

/// <summary>
/// What a machine guest starts from. Descriptors are indexes into those sent with the plan. The guest has no files of
/// <see cref="LaunchPlan.Files"/>; its RAM is <see cref="GuestLimits.MemoryBytes"/> and its vCPUs are
/// <see cref="GuestLimits.Cpus"/>.
/// </summary>
public sealed record GuestMachine
{
    /// <summary>An ELF kernel with a PVH entry or a bzImage, open for reading.</summary>
    public required int Kernel { get; init; }

    /// <summary>An initrd, open for reading; -1 for none.</summary>
    public required int Initrd { get; init; }

    /// <summary>The kernel's command line: printable ASCII.</summary>
    public required string CommandLine { get; init; }

    /// <summary>Block devices, in the order in which the guest finds them.</summary>
    public required GuestDisk[] Disks { get; init; }

    /// <summary>Network interfaces, in the order in which the guest finds them, behind the disks.</summary>
    public required GuestTap[] Taps { get; init; }

    /// <summary>
    /// Whether the initrd's first process is this project's agent, which runs <see cref="LaunchPlan.Arguments"/> and is
    /// heard over a socket device. Without it the first serial port is the guest's standard input and output.
    /// </summary>
    public required bool Agent { get; init; }

    /// <summary>A source of random numbers; null for none.</summary>
    public required GuestRandom? Random { get; init; }

    /// <summary>
    /// A listening Unix socket at which programs of the host ask for connections to ports of the guest; -1 for none.
    /// </summary>
    public required int Vsock { get; init; }

    /// <summary>Whether memory that the guest does not use goes back to the host.</summary>
    public required bool Balloon { get; init; }

    /// <summary>
    /// Whether the standard streams are at a virtio console (hvc0) instead of the serial port, which is left to the
    /// kernel's first words. Not with an agent, which has the streams itself.
    /// </summary>
    public required bool VirtioConsole { get; init; }
}

/// <summary>An image or a block device of the host's that a machine guest has as a block device.</summary>
public sealed record GuestDisk
{
    /// <summary>Open for reading, and for writing too when <see cref="Writable"/>.</summary>
    public required int Descriptor { get; init; }

    public required bool Writable { get; init; }

    /// <summary>Bytes a second at most; 0 for any number.</summary>
    public required ulong BytesPerSecond { get; init; }

    /// <summary>Requests a second at most; 0 for any number.</summary>
    public ulong OperationsPerSecond { get; init; }
}

/// <summary>A machine guest's source of random numbers.</summary>
public sealed record GuestRandom
{
    /// <summary>Bytes a second at most; 0 for any number.</summary>
    public required ulong BytesPerSecond { get; init; }
}
