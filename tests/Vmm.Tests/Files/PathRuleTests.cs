using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Terminals;
using Sandbox.Vmm.Tests.Ipc;
using Sandbox.Vmm.Tests.Processes;
using Xunit;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Tests.Files;

/// <summary>A policy's path rules hold wherever a path can be named, and cannot be walked around.</summary>
public sealed class PathRuleTests : IDisposable
{
    const string Policy = """
        version: 1
        fragment: true
        files:
          show:
            - {path: /tmp, memory: true, mode: "1777"}
          rules:
            - {deny: read, path: /tmp/secret/**}
            - {deny: [write, delete], path: "/tmp/*.log"}
            - {deny: create, path: /tmp/**/*.so}
            - {deny: [read, write, execute, create, delete], path: /tmp/nothing}
            - {deny: execute, path: /tmp/data/**}
        """;

    readonly GuestTree _tree = new(Rules());

    static PathRules Rules(string text = Policy)
    {
        var diagnostics = new Diagnostics();
        CompiledPolicy? policy = CompiledPolicy.Load(new SourceText("p", text), new NoFiles(), diagnostics);
        Assert.Empty(diagnostics.List);
        return policy!.Paths;
    }

    sealed class NoFiles : IPolicyFiles
    {
        public SourceText? Read(string name, out string problem) => throw new NotSupportedException(problem = name);
    }

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void ReadingIsDeniedWhateverThePathLooksLike()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/secret"));
        _tree.Write("/tmp/secret/key", "x");
        Assert.Equal(0, _tree.MakeSymlink("/tmp/secret", "/tmp/way"));
        foreach (string path in (string[])["/tmp/secret/key", "/tmp/../tmp/./secret//key", "/tmp/way/key"])
        {
            Assert.Equal(-EACCES, _tree.Try(path, O_RDONLY));
            Assert.Equal(-EACCES, _tree.Try(path, O_RDWR));
            Assert.Equal(0, _tree.Try(path, O_WRONLY));
        }

        Assert.Equal(-EACCES, _tree.Try("/tmp/secret", O_RDONLY | O_DIRECTORY));
        Caller inside = _tree.Caller with { WorkingDirectory = _tree.Find("/tmp/secret") };
        Assert.Equal(-EACCES, _tree.Try("key", O_RDONLY, inside));
    }

    [Fact]
    public void ARenameOpensNothing()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/secret"));
        _tree.Write("/tmp/secret/key", "x");
        Assert.Equal(-EXDEV, _tree.Rename("/tmp/secret", "/tmp/open"));
        Assert.Equal(-EXDEV, _tree.Rename("/tmp/secret/key", "/tmp/key"));
        Assert.Equal(-EXDEV, _tree.Link("/tmp/secret/key", "/tmp/key"));
        Assert.Equal(0, _tree.Rename("/tmp/secret/key", "/tmp/secret/other"));
        _tree.Write("/tmp/plain", "x");
        Assert.Equal(0, _tree.Rename("/tmp/plain", "/tmp/secret/plain"));
        Assert.Equal(0, _tree.MakeDirectory("/tmp/a"));
        Assert.Equal(0, _tree.Rename("/tmp/a", "/tmp/b"));
    }

    [Fact]
    public void CreatingAndDeletingAreAskedAboutByName()
    {
        Assert.Equal(-EACCES, _tree.Try("/tmp/x.so", O_CREAT | O_WRONLY));
        Assert.Equal(-EACCES, _tree.MakeDirectory("/tmp/x.so"));
        Assert.Equal(-EACCES, _tree.MakeSymlink("y", "/tmp/x.so"));
        _tree.Write("/tmp/x", "x");
        Assert.Equal(-EACCES, _tree.Rename("/tmp/x", "/tmp/x.so"));
        Assert.Equal(-EACCES, _tree.Link("/tmp/x", "/tmp/x.so"));
        Assert.Equal(-EACCES, _tree.Try("/tmp/a.log", O_CREAT | O_WRONLY));
        Assert.Equal(0, _tree.Try("/tmp/a.log", O_CREAT | O_RDONLY));
        Assert.Equal(-EACCES, _tree.Unlink("/tmp/a.log"));
        Assert.Equal(-EACCES, _tree.Rename("/tmp/a.log", "/tmp/a.txt"));
        Assert.Equal(-EACCES, _tree.Rename("/tmp/x", "/tmp/a.log"));
        Assert.Equal(0, _tree.Unlink("/tmp/x"));
    }

    [Fact]
    public void AttributesAreWritten()
    {
        Assert.Equal(0, _tree.Try("/tmp/a.log", O_CREAT | O_RDONLY));
        Dentry log = _tree.Find("/tmp/a.log");
        Assert.Equal(-EACCES, VirtualFileSystem.ChangeMode(_tree.Caller, log, null, 0));
        Assert.Equal(-EACCES, VirtualFileSystem.ChangeOwner(_tree.Superuser, log, null, 0, 0));
        Assert.Equal(-EACCES, VirtualFileSystem.Truncate(_tree.Caller, log, 0));
        Assert.Equal(-EACCES, _tree.Try("/tmp/a.log", O_RDONLY | O_TRUNC));
        Assert.Equal(0, _tree.Try("/tmp/a.log", O_RDONLY));
    }

    [Fact]
    public void WhatMayBeUsedInNoWayCannotBeLookedAt()
    {
        Assert.Equal(-EACCES, _tree.MakeDirectory("/tmp/nothing"));
        Assert.Equal(0, _tree.MakeDirectory("/tmp/some"));
        Assert.Equal(0, PathGuard.CheckVisible(_tree.Find("/tmp/some")));
        Assert.Equal(-EXDEV, _tree.Rename("/tmp/some", "/tmp/secret"));
        Assert.Equal(-EACCES, _tree.Rename("/tmp/some", "/tmp/nothing"));
    }

    [Fact]
    public void ExecutingIsItsOwnRight()
    {
        Assert.Equal(0, _tree.MakeDirectory("/tmp/data"));
        foreach (string path in (string[])["/tmp/data/tool", "/tmp/tool"])
        {
            Assert.Equal(0, _tree.Open(path, O_CREAT | O_WRONLY, out OpenFile? file, mode: 0x1ed));
            file!.Release();
        }

        Assert.Equal(-EACCES, Execute(_tree, _tree.Tree.Root, "/tmp/data/tool", WalkFlags.Follow));
        Assert.Equal(0, Execute(_tree, _tree.Tree.Root, "/tmp/tool", WalkFlags.Follow));
    }

    /// <summary>execveat(2) of a descriptor: what a memory file is called makes no difference.</summary>
    [Theory]
    [InlineData("{path: /tmp, memory: true}", "", -EACCES)]
    [InlineData("{path: /dev/shm, memory: true}", "", 0)]
    [InlineData("{path: /dev/shm, memory: true}", "deny: execute, path: /dev/shm/**", -EACCES)]
    [InlineData("{path: /dev/shm, memory: true}", "deny: execute, path: /dev/shm/memfd", -EACCES)]
    [InlineData("{path: /dev/shm, memory: true}", "deny: execute, path: /tmp/**", 0)]
    [InlineData("{path: /dev/shm, memory: true, access: [read, write, create]}", "", -EACCES)]
    public void AMemoryFileIsExecutedAsAFileOfTheSharedMemoryFolder(string shown, string rule, long expected)
    {
        using GuestTree tree = new(Rules($"version: 1\nfragment: true\nfiles:\n  show: [{shown}]\n" + (rule.Length == 0 ? "" : $"  rules: [{{{rule}}}]\n")));
        foreach (string name in (string[])["", "x", "../../tmp/x"])
        {
            Assert.Equal(0, tree.Tree.CreateMemoryFile(tree.Caller, GuestTree.Bytes(name), 0, out OpenFile? file));
            Assert.Equal(expected, Execute(tree, ((InodeFile)file!).Dentry, "", WalkFlags.AllowEmpty));
            // In any other way it is its holder's.
            Assert.Equal(0, VirtualFileSystem.CheckAccess(tree.Caller, ((InodeFile)file).Dentry, R_OK | W_OK));
            file.Release();
        }
    }

    /// <summary>What /dev/fd leads to outside the tree has no path: no rule is asked, and it is used for what it is open for.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void OpenFilesWithoutANameAreTheirHolders(bool rules)
    {
        using OpenGuest guest = new(rules);
        foreach ((int descriptor, int mode) in ((int, int)[])[(guest.Input, O_RDONLY), (guest.Output, O_WRONLY)])
        {
            Assert.Equal(0, guest.Try($"/dev/fd/{descriptor}", mode | O_CREAT));
            Assert.Equal(0, guest.Try($"/proc/self/fd/{descriptor}", mode));
            Assert.Equal(-EACCES, guest.Try($"/dev/fd/{descriptor}", O_RDWR));
            Assert.Equal(-EACCES, guest.Try($"/dev/fd/{descriptor}", mode ^ (O_RDONLY ^ O_WRONLY)));
        }
        Assert.Equal(0, guest.Try($"/proc/self/fd/{guest.Add("/data/file", O_CREAT | O_RDWR)}", O_WRONLY));
        int gone = guest.Add("/data/gone", O_CREAT | O_RDONLY, mode: 0x1ed);
        Assert.Equal(0, VirtualFileSystem.Unlink(guest.Caller, guest.Tree.Root, "/data/gone"u8));
        Assert.Equal(0, guest.Try($"/proc/self/fd/{gone}", O_RDONLY));
        Assert.Equal(-EACCES, guest.Try($"/proc/self/fd/{gone}", O_WRONLY));
        // But where there are rules on execution, what no rule can be asked about is not run.
        long executed = guest.Tree.OpenExecutable(
            guest.Caller, guest.Tree.Root, GuestTree.Bytes($"/proc/self/fd/{gone}"), WalkFlags.Follow, out OpenFile? file);
        file?.Release();
        Assert.Equal(rules ? -EACCES : 0, executed);
    }

    /// <summary>A FIFO has a name, so that its rules hold for one that is open already.</summary>
    [Fact]
    public void AFifoIsOpenedAgainByItsName()
    {
        using OpenGuest guest = new(rules: true);
        Assert.Equal(0, VirtualFileSystem.MakeNode(
            guest.Caller, guest.Tree.Root, "/tmp/fifo"u8, S_IFIFO | 0x1b6, out _));
        Assert.Equal(0, VirtualFileSystem.MakeDirectory(guest.Caller, guest.Tree.Root, "/tmp/secret"u8, 0x1ff));
        int reader = guest.Add("/tmp/fifo", O_RDONLY | O_NONBLOCK), writer = guest.Add("/tmp/fifo", O_WRONLY);
        Assert.Equal(0, guest.Try($"/proc/self/fd/{writer}", O_RDONLY | O_NONBLOCK));
        Assert.Equal(0, VirtualFileSystem.Rename(
            guest.Caller, guest.Tree.Root, "/tmp/fifo"u8, guest.Tree.Root, "/tmp/secret/fifo"u8, 0));
        foreach (int descriptor in (int[])[reader, writer])
        {
            Assert.Equal(-EACCES, guest.Try($"/proc/self/fd/{descriptor}", O_RDONLY | O_NONBLOCK));
            Assert.Equal(0, guest.Try($"/proc/self/fd/{descriptor}", O_WRONLY | O_NONBLOCK));
        }
    }

    /// <summary>A guest with a process, standard streams on pipes of the host and a writable folder.</summary>
    sealed class OpenGuest : IDisposable
    {
        readonly ScriptedGuest _guest;
        readonly HostPoller _poller = new();
        readonly List<FileDescriptor> _pipe = [];
        readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sandbox-files-");
        readonly GuestThread _thread;

        public unsafe OpenGuest(bool rules)
        {
            GuestFile data = new()
            {
                Kind = GuestFileKind.Host, Path = "/data", Writable = true, Descriptor = 0,
            };
            // All of it may be read, written and executed as far as the folders of the test are concerned.
            const string More = "    - {path: /data, memory: true}\n    - {path: /dev, own: true}\n    - {path: /proc, own: true}\n  rules:\n";
            _guest = new ScriptedGuest(
                files: [GuestTree.Temporary("/tmp"), data],
                pathRules: rules ? Rules(Policy.Replace("  rules:\n", More)).Tables : null);
            _guest.Personality.BuildFiles([FileDescriptor.Open(_folder.FullName, O_PATH | O_DIRECTORY)]);
            _thread = _guest.Personality.CreateFirstProcess(
                new DescriptorTable(256), Tree.CreateContext(Tree.Root));
            int* ends = stackalloc int[2];
            Assert.Equal(0, pipe2(ends, O_CLOEXEC));
            _pipe = [new FileDescriptor(ends[0]), new FileDescriptor(ends[1])];
            Input = Add(new HostStream(_pipe[0], Objects.Inode(), _poller, null));
            Output = Add(new HostStream(_pipe[1], Objects.Inode(), _poller, null));
        }

        public int Input { get; }

        public int Output { get; }

        public VirtualFileSystem Tree => _guest.Personality.Files;

        public Caller Caller => Caller.Of(_thread);

        int Add(OpenFile file) => _thread.Descriptors.Add(file, closeOnExec: false);

        public int Add(string path, int flags, uint mode = 0x1b6)
        {
            Assert.Equal(0, Open(path, flags, mode, out OpenFile? file));
            return Add(file!);
        }

        long Open(string path, int flags, uint mode, out OpenFile? file) =>
            Tree.Open(Caller, Tree.Root, GuestTree.Bytes(path), flags, mode, WalkFlags.None, out file);

        public long Try(string path, int flags)
        {
            long result = Open(path, flags, 0x1b6, out OpenFile? file);
            file?.Release();
            return result;
        }

        public void Dispose()
        {
            _thread.Descriptors.CloseRange(null, 0, int.MaxValue, onlyCloseOnExec: false);
            _poller.Dispose();
            foreach (FileDescriptor end in _pipe)
                end.Dispose();
            _guest.Memory.Dispose();
            _folder.Delete(recursive: true);
        }
    }

    static long Execute(GuestTree tree, Dentry start, string path, WalkFlags walk)
    {
        long result = tree.Tree.OpenExecutable(tree.Caller, start, GuestTree.Bytes(path), walk, out OpenFile? file);
        file?.Release();
        return result;
    }
}
