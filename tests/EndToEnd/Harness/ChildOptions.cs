namespace Sandbox.EndToEnd.Harness;

/// <summary>What to start, and with which descriptors as its streams.</summary>
sealed record ChildOptions
{
    public required string Path { get; init; }
    public required IReadOnlyList<string> Arguments { get; init; }
    public required IReadOnlyList<string> Environment { get; init; }
    public required string Directory { get; init; }
    public int Stdin { get; init; } = -1;
    public int Stdout { get; init; } = -1;
    public int Stderr { get; init; } = -1;

    /// <summary>A terminal that becomes the controlling terminal and all three streams of a new session.</summary>
    public string? Terminal { get; init; }
}
