using System.Diagnostics;
using System.Text;
using Sandbox.Host;
using Sandbox.Supervisor.LifeCycle;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.LifeCycle;

public sealed class OutputKeeperTests : IDisposable
{
    readonly ScratchPlace _place = new();

    public void Dispose() => _place.Dispose();

    /// <summary>A number in place of a standard stream's.</summary>
    static FileDescriptor Stream() => FileDescriptor.Open("/dev/null", O_RDWR);

    static string Kept(StateFolder folder)
    {
        using FileDescriptor file = folder.OpenFile(StateFolder.OutputName)!;
        byte[] bytes = new byte[1 << 16];
        return Encoding.ASCII.GetString(bytes, 0, (int)file.ReadAt(bytes, 0));
    }

    [Fact]
    public void WhatWasWrittenBeforeTheEndIsKept()
    {
        using StateFolder folder = _place.Make();
        using FileDescriptor stream = Stream();
        OutputKeeper keeper = OutputKeeper.Of(stream.Value);
        keeper.Start(folder, StateFolder.OutputName);
        Assert.Equal(5, stream.Write("hello"u8));
        keeper.End();
        Assert.Contains("hello", Kept(folder), StringComparison.Ordinal);
    }

    /// <summary>A descriptor that was sent away and never taken, say.</summary>
    [Fact]
    public void WhoHasTheOtherEndIsNotWaitedForForEver()
    {
        using StateFolder folder = _place.Make();
        using FileDescriptor stream = Stream();
        OutputKeeper keeper = OutputKeeper.Of(stream.Value);
        keeper.Start(folder, StateFolder.OutputName);
        using FileDescriptor other = stream.Duplicate();
        Assert.Equal(5, other.Write("hello"u8));
        var clock = Stopwatch.StartNew();
        keeper.End();
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 10);
        Assert.Contains("hello", Kept(folder), StringComparison.Ordinal);
    }
}
