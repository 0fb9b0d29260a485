namespace Sandbox.Escape;

/// <summary>Tests that look at descriptors and memory of the whole process: nothing else may have any meanwhile.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
