using Sandbox.Host;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Launch;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests;

public sealed class MountRulesTests : IDisposable
{
    readonly string _folder = Directory.CreateTempSubdirectory("sandbox-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    object? Check(string path, Func<HostMount, HostMount> changed, params HostMount[] others)
    {
        using FileDescriptor file = FileDescriptor.Open(path, O_PATH);
        long id = HostMount.IdOf(file);
        HostMount own = changed(HostMount.All().Single(mount => mount.Id == id));
        MountRules.Check(MountArgument.Parse($"{path}:/m"), file, path, Directory.Exists(path), [own, .. others]);
        return null;
    }

    /// <summary>Some of these have the type of file that any folder in memory has.</summary>
    [Theory]
    [InlineData("configfs")]
    [InlineData("fusectl")]
    [InlineData("rpc_pipefs")]
    [InlineData("autofs")]
    [InlineData("proc")]
    public void NothingInAFileSystemOfTheKernelIsShown(string type)
    {
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        foreach (string path in (string[])[_folder, file])
        {
            Check(path, static mount => mount);
            OneLine.Refuses("belongs to a file system of the kernel", () => Check(path, mount => mount with { Type = type }));
        }

        OneLine.Refuses($"a file system of the kernel ({type})",
            () => Check(_folder, static mount => mount, new HostMount(-2, $"{_folder}/sub", type)));
        Check(_folder, static mount => mount, new HostMount(-2, $"{_folder}-beside", type));
    }

    [Fact]
    public void AMountThatIsNotListedIsTakenForNone()
    {
        using FileDescriptor root = FileDescriptor.Open("/", O_PATH), proc = FileDescriptor.Open("/proc", O_PATH);
        MountRules.Check(MountArgument.Parse("/:/m"), root, "/", true, []);
        OneLine.Refuses("belongs to a file system of the kernel", () =>
        {
            MountRules.Check(MountArgument.Parse("/proc:/m"), proc, "/proc", true, []);
            return null;
        });
    }

    [Theory]
    [InlineData("vfat", "rw", true)]
    [InlineData("exfat", "rw", true)]
    [InlineData("cifs", "rw", true)]
    [InlineData("9p", "rw,dirsync,aname=drvfs;path=C:\\;uid=1000", true)]
    [InlineData("9p", "rw,trans=virtio", false)]
    [InlineData("ext4", "rw", false)]
    public void FileSystemsThatFoldNamesAreKnown(string type, string options, bool folds) =>
        Assert.Equal(folds, FoldingFileSystems.IsOne(new HostMount(1, "/m", type, options)));

    [Fact]
    public void AnOrdinaryFolderFoldsNothing()
    {
        using FileDescriptor folder = FileDescriptor.Open(_folder, O_PATH);
        Assert.False(FoldingFileSystems.Folds(folder));
    }

    [Fact]
    public void TheKernelsListIsRead()
    {
        HostMount mount = Assert.Single(HostMount.Parse(
            "36 35 98:0 /root /mnt/a\\040b rw,noatime shared:1 - ext3 /dev/root rw\nx 35 98:0 / /y rw - ext3 a b\n36 35\n\n"));
        Assert.Equal(new HostMount(36, "/mnt/a b", "ext3", "rw"), mount);
        Assert.Contains(HostMount.All(), one => one is { Path: "/proc", Type: "proc" });
    }
}
