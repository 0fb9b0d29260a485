using Xunit;

namespace Sandbox.Host.Tests;

/// <summary>
/// Tests that look at descriptors or addresses of the whole process: nothing else may open or map any meanwhile.
/// </summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
