using Sandbox.Host;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Trust;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

/// <summary>Folders above what has to stay where it is.</summary>
public sealed class TrustedPathTests : IDisposable
{
    const UnixFileMode Everybody = (UnixFileMode)0b111_111_111, Group = (UnixFileMode)0b111_111_101;

    readonly string _folder = Directory.CreateTempSubdirectory("sandbox-test-").FullName;
    readonly string _outer, _inner;

    public TrustedPathTests()
    {
        _outer = Path.Combine(_folder, "outer");
        _inner = Path.Combine(_outer, "inner");
        Directory.CreateDirectory(_inner);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    static string? First(string folder) => TrustedPath.FirstChangeable(folder, geteuid());

    [Fact]
    public void FoldersOfRootAndTheUserAreTrusted()
    {
        Assert.Null(First("/"));
        Assert.Null(First("/etc"));
        Assert.Null(First(_inner));
        Assert.Null(First(_inner + "/../inner/./"));
        Assert.Throws<HostException>(() => First(_inner + "/none"));
    }

    [Fact]
    public void OneThatOthersMayChangeIsFoundWhereverItIs()
    {
        foreach (UnixFileMode mode in (UnixFileMode[])[Everybody, Group])
        {
            File.SetUnixFileMode(_outer, mode);
            Assert.Equal(_outer, First(_inner));
            Assert.Equal(_outer, First(_outer));
        }

        // Names of others are safe there.
        File.SetUnixFileMode(_outer, Everybody | UnixFileMode.StickyBit);
        Assert.Null(First(_inner));
    }

    [Fact]
    public void ALinkIsTrustedAsFarAsWhatItLeadsThrough()
    {
        string link = Path.Combine(_folder, "link"), relative = Path.Combine(_folder, "relative");
        File.CreateSymbolicLink(link, _inner);
        File.CreateSymbolicLink(relative, "outer/../outer/inner");
        File.CreateSymbolicLink(Path.Combine(_folder, "loop"), "loop");
        Assert.Null(First(link));
        Assert.Null(First(relative));
        File.SetUnixFileMode(_outer, Everybody);
        Assert.Equal(_outer, First(link));
        Assert.Equal(_outer, First(relative));
        Assert.Equal(ELOOP, Assert.Throws<HostException>(() => First(Path.Combine(_folder, "loop"))).Errno);
    }

    [Fact]
    public void AnotherUsersFolderIsNot()
    {
        Assert.SkipUnless(geteuid() == 0, "only root makes folders of others");
        Assert.Null(TrustedPath.FirstChangeable(_inner, 4711));
        Assert.Null(First(_inner));
        Give(_outer);
        Assert.Equal(_outer, First(_inner));
        Assert.Null(TrustedPath.FirstChangeable(_inner, 4711));
    }

    static unsafe void Give(string path)
    {
        fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(path + '\0'))
            Assert.Equal(0, fchownat(AT_FDCWD, name, 4711, 4711, 0));
    }

    /// <summary>Who may change a folder above a log moves the log's away, and a link to an empty one there begins another.</summary>
    [Fact]
    public void ALogIsNotKeptWhereOthersMayPutAnotherInItsPlace()
    {
        File.SetUnixFileMode(_outer, Everybody);
        string log = Path.Combine(_inner, "a.log");
        string line = OneLine.Refuses("put another log in its place", () => AuditLog.Open(log));
        Assert.Contains($"others may change '{_outer}'", line, StringComparison.Ordinal);
        Assert.False(File.Exists(log));
        Directory.Move(_inner, _inner + "-away");
        Directory.CreateDirectory(Path.Combine(_folder, "empty"));
        File.CreateSymbolicLink(_inner, Path.Combine(_folder, "empty"));
        OneLine.Refuses("put another log in its place", () => AuditLog.Open(log));
    }
}
