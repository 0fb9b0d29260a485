using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>Tests that change limits of this process, beside which no other test runs.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
