using Sandbox.Policy.Language;
using Sandbox.Supervisor.Planning;
using Sandbox.Supervisor.Tests.Network;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>Folders of file systems that take capital and small letters for the same.</summary>
public class FoldedNamesTests
{
    static MountSource Folder(string guest, bool folds) => new("/host", "/host", guest, IsDirectory: true, Writable: false)
    {
        FoldsNames = folds,
    };

    static object? Check(string files, params MountSource[] mounts)
    {
        FoldedNames.Check(Policies.Model(files), "/home/user", mounts);
        return null;
    }

    [Theory]
    [InlineData("files: {rules: [{deny: read, path: /w/secret, because: a test}]}")]
    [InlineData("files: {rules: [{deny: read, path: [/x, /w/sub/**], because: a test}]}")]
    [InlineData("files: {rules: [{deny: read, path: /**/secret, because: a test}]}")]
    [InlineData("files: {rules: [{deny: read, path: /w/*.key, because: a test}]}")]
    [InlineData("files: {show: [{path: /w/sub, memory: true, because: a test}]}")]
    public void WhatTellsNamesInOneApartIsRefused(string files)
    {
        OneLine.Refuses("capital and small letters", () => Check(files, Folder("/w", folds: true)));
        Check(files, Folder("/w", folds: false));
        Check(files, Folder("/elsewhere", folds: !files.Contains("/**/", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("files: {rules: [{deny: write, path: /w/**, because: a test}]}")]
    [InlineData("files: {rules: [{deny: write, path: /w, because: a test}]}")]
    [InlineData("files: {rules: [{deny: write, path: /**, because: a test}]}")]
    [InlineData("files: {rules: [{deny: write, path: /wide/secret, because: a test}]}")]
    public void WhatIsSaidOfAllIsNot(string files) => Check(files, Folder("/w", folds: true));

    [Fact]
    public void AMountInsideOneIsRefused() =>
        OneLine.Refuses("--mount says of a name", () => Check("", Folder("/w", folds: true), Folder("/w/sub", folds: false)));
}
