using System.Net.Sockets;
using Sandbox.Host;
using Sandbox.Supervisor.Launch;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

public sealed class VsockListenerTests : IDisposable
{
    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vsock-");

    string Place => Path.Combine(_folder.FullName, "s");

    public void Dispose() => _folder.Delete(recursive: true);

    static VsockListener Open(string path)
    {
        VsockListener listener = VsockListener.Make(VsockServicesTests.Rule(path));
        try
        {
            listener.Listen();
            return listener;
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    [Fact]
    public void ItIsItsMakersAloneAndGoesWithTheGuest()
    {
        using (Open(Place))
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Place));
            using Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            client.Connect(new UnixDomainSocketEndPoint(Place));
            Assert.Contains("is there already", Assert.Throws<UsageException>(() => Open(Place)).Message);
        }
        Assert.False(File.Exists(Place));
    }

    [Fact]
    public void OneThatNobodyListensAtIsReplaced()
    {
        using (Socket killed = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            killed.Bind(new UnixDomainSocketEndPoint(Place));
            // Closing would remove it.
            File.Move(Place, Place + "2");
        }
        File.Move(Place + "2", Place);
        using VsockListener listener = Open(Place);
        Assert.True(File.Exists(Place));
    }

    /// <summary>Another start is between the two calls that make its socket.</summary>
    [Fact]
    public void OneThatWillListenInAMomentStays()
    {
        using Socket other = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using FileDescriptor folder = FileDescriptor.Open(_folder.FullName, O_RDONLY | O_DIRECTORY);
        Assert.Equal(0, flock(folder.Value, LOCK_EX));
        other.Bind(new UnixDomainSocketEndPoint(Place));
        using Timer late = new(_ =>
        {
            other.Listen();
            _ = flock(folder.Value, LOCK_UN);
        }, null, 30, Timeout.Infinite);
        Assert.Contains("is there already", Assert.Throws<UsageException>(() => Open(Place)).Message);
        Assert.True(File.Exists(Place));
    }

    [Fact]
    public void AnotherThatHasTakenItsPlaceStays()
    {
        using Socket other = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using (Open(Place))
        {
            File.Move(Place, Place + "2");
            other.Bind(new UnixDomainSocketEndPoint(Place));
        }
        Assert.True(File.Exists(Place));
    }

    [Fact]
    public void WhatIsNoSocketIsLeftAlone()
    {
        File.WriteAllText(Place, "kept");
        Assert.Contains("is there already", Assert.Throws<UsageException>(() => Open(Place)).Message);
        Assert.Equal("kept", File.ReadAllText(Place));
    }

    [Fact]
    public void PathsThatAreTooLongOrNowhereAreOneLine()
    {
        Assert.Contains("107 bytes", Assert.Throws<UsageException>(() => Open("/" + new string('x', 108))).Message);
        Assert.Contains("cannot be made", Assert.Throws<UsageException>(() => Open(Place + "/none/s")).Message);
    }
}
