using System.Diagnostics;
using Xunit;

namespace Sandbox.Supervisor.Tests.LifeCycle;

/// <summary>A file system in memory of a few bytes, on a folder of its own. Needs root.</summary>
sealed class SmallFileSystem : IDisposable
{
    public SmallFileSystem(string size)
    {
        Path = Directory.CreateTempSubdirectory("sandbox-small-").FullName;
        Run("mount", "-t", "tmpfs", "-o", $"size={size}", "tmpfs", Path);
    }

    public string Path { get; }

    public void Dispose()
    {
        // The kernel lets go of an io_uring's file a moment after the ring is closed.
        Run("umount", "--lazy", Path);
        Directory.Delete(Path);
    }

    static void Run(params string[] command)
    {
        using Process process = Process.Start(command[0], command[1..]);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
