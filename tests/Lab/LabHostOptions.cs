namespace Sandbox.Lab;

/// <summary>What a lab host is made of.</summary>
sealed record LabHostOptions
{
    /// <summary>Names its folder of logs and cases.</summary>
    public required string Name { get; init; }

    /// <summary>Changes to QEMU's <c>-cpu max,+svm,+npt</c>, such as <c>-smap</c>.</summary>
    public IReadOnlyList<string> Processor { get; init; } = [];

    /// <summary>More of QEMU's arguments: devices, networks.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];
}
