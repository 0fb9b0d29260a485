using Sandbox.Host;
using Sandbox.Supervisor.LifeCycle;
using Xunit;

namespace Sandbox.Supervisor.Tests.LifeCycle;

/// <summary>A place for the states of sandboxes that is nobody else's.</summary>
sealed class ScratchPlace : IDisposable
{
    readonly string _above;

    public ScratchPlace(string? above = null)
    {
        _above = above ?? Directory.CreateTempSubdirectory("sandbox-test-").FullName;
        Path = System.IO.Path.Combine(_above, "sandbox");
        Assert.Equal(0, StatePlace.TryMake(Path, out FileDescriptor? place));
        Descriptor = place!;
    }

    public string Path { get; }
    public FileDescriptor Descriptor { get; }

    public StateFolder Make(SandboxId? id = null)
    {
        Assert.Equal(0, StateFolder.TryMake(Descriptor, id ?? SandboxId.Random(), out StateFolder? folder));
        return folder!;
    }

    public void Dispose()
    {
        Descriptor.Dispose();
        Directory.Delete(Path, recursive: true);
        if (Directory.Exists(_above) && _above.Contains("sandbox-test-", StringComparison.Ordinal))
            Directory.Delete(_above, recursive: true);
    }
}
