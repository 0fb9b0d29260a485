namespace Sandbox.Lab;

/// <summary>Tests that take a lab host and all of this machine.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
