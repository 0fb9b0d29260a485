namespace Sandbox.Lab;

/// <summary>What a lab host is made of.</summary>
sealed record LabHostOptions
{
    /// <summary>Names its folder of logs and cases.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// How many processors. More than one are emulated in turns by one thread, and even so only for guests that take no
    /// interrupts: QEMU 7.2 clears bits of a processor's pending interrupts without a lock when a guest exits, so those
    /// that another thread sets meanwhile are lost and the lab host hangs; and it delivers the vector that VMRUN injected
    /// a second time if the processor's turn ends before the guest's next exit, of which guests die.
    /// </summary>
    public int Processors { get; init; } = 1;

    /// <summary>In MiB; this machine's is used as the lab host touches its own.</summary>
    public int Memory { get; init; } = 3072;

    /// <summary>Linux 6.12 or newer instead of this Debian's kernel.</summary>
    public bool IsRecent { get; init; }

    /// <summary>
    /// /tmp is an empty ext4 on a disk of the host's own: unlike 9p, and tmpfs of earlier kernels, it can be mounted with
    /// users mapped, and holds more than memory.
    /// </summary>
    public bool HasScratch { get; init; }

    /// <summary>Changes to QEMU's <c>-cpu max,+svm,+npt</c>, such as <c>-smap</c>.</summary>
    public IReadOnlyList<string> Processor { get; init; } = [];

    /// <summary>More of QEMU's arguments: devices, networks.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];
}
