using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Vmm.Personality.Files;
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

    static long Execute(GuestTree tree, Dentry start, string path, WalkFlags walk)
    {
        long result = tree.Tree.OpenExecutable(tree.Caller, start, GuestTree.Bytes(path), walk, out OpenFile? file);
        file?.Release();
        return result;
    }
}
