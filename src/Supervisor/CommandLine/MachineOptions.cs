namespace Sandbox.Supervisor.CommandLine;

/// <summary>What the caller asked of a guest with a kernel of its own.</summary>
sealed record MachineOptions
{
    public const int MaximumCpus = 16;

    /// <summary>Below this no kernel starts.</summary>
    public const ulong MinimumMemory = 16UL << 20;

    /// <summary>What the kernel is told first: where its words go.</summary>
    public const string SerialConsole = "console=ttyS0";

    /// <inheritdoc cref="SerialConsole"/>
    /// <remarks>The serial port has them until the console's driver is there, which may be a module.</remarks>
    public const string VirtioConsole = "console=hvc0 earlycon=uart8250,io,0x3f8";

    /// <summary>What it is always told: how a panic is told from a reset, and what is not there.</summary>
    public const string BaseCommandLine = "panic=-1 reboot=panic_warm pci=off";

    /// <summary>Bytes: COMMAND_LINE_SIZE of x86 without the terminating NUL.</summary>
    public const int MaximumCommandLine = 2047;

    public required string Kernel { get; init; }

    public string? Initrd { get; init; }

    /// <summary>
    /// An image with the file system in which the program runs, over an initrd that this program makes; null for a
    /// guest that is on its own.
    /// </summary>
    public string? Root { get; init; }

    /// <summary>Whether what the program changes of it stays in the image.</summary>
    public bool WritableRoot { get; init; }

    /// <summary>The folder of the kernel's modules; null for the usual places.</summary>
    public string? Modules { get; init; }

    /// <summary>TAP devices that are the guest's network interfaces, in its order.</summary>
    public IReadOnlyList<TapArgument> Taps { get; init; } = [];

    /// <summary>As many as a launch plan takes.</summary>
    public const int MaximumTaps = 4;

    /// <inheritdoc cref="MaximumTaps"/>
    public const int MaximumTapQueues = 8;

    /// <summary>The command line behind the console.</summary>
    public required string CommandLine { get; init; }
}
