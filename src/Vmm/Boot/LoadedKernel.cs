namespace Sandbox.Vmm.Boot;

/// <summary>A kernel in the guest's RAM, and what its loader found out.</summary>
sealed record LoadedKernel
{
    /// <summary>Where the first vCPU begins.</summary>
    public required ulong Entry { get; init; }

    /// <summary>Behind the last byte that the kernel occupies while it starts.</summary>
    public required ulong End { get; init; }

    /// <summary>The setup header of a bzImage, from offset 0x1f1 on; null for PVH.</summary>
    public byte[]? SetupHeader { get; init; }

    /// <summary>The last address that an initrd may occupy, below 4 GiB.</summary>
    public required uint LastInitrdByte { get; init; }

    /// <summary>Bytes of a command line without its NUL.</summary>
    public required int MaximumCommandLine { get; init; }
}
