using Sandbox.Supervisor.PolicyTools;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>sandbox policy fmt changes files only when told to, and then nothing else about them.</summary>
public sealed class FormatToolTests : IDisposable
{
    const string Loose = "version:   1 # c\n", Tidy = "version: 1  # c\n";

    readonly string _folder = Directory.CreateTempSubdirectory("sandbox-format-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    string Write(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, text);
        return path;
    }

    [Fact]
    public void CheckFailsAndChangesNothing()
    {
        string loose = Write("loose", Loose), tidy = Write("tidy", Tidy), wrong = Write("wrong", "a: [\n");
        Assert.Equal(0, FormatTool.Run([tidy], check: true, write: false));
        Assert.Equal(1, FormatTool.Run([loose, tidy], check: true, write: false));
        Assert.Equal(0, FormatTool.Run([loose], check: false, write: false));
        Assert.Equal(3, FormatTool.Run([wrong, loose], check: true, write: false));
        Assert.Equal(Loose, File.ReadAllText(loose));
        OneLine.Refuses("give one of them", () => FormatTool.Run([tidy], check: true, write: true));
        OneLine.Refuses("cannot be read", () => FormatTool.Run([Path.Combine(_folder, "none")], check: true, write: false));
    }

    [Fact]
    public void WriteKeepsModeAndLinks()
    {
        string loose = Write("loose", Loose), link = Path.Combine(_folder, "link");
        File.SetUnixFileMode(loose, (UnixFileMode)0x1a0);
        File.CreateSymbolicLink(link, loose);
        DateTime before = File.GetLastWriteTimeUtc(Write("tidy", Tidy));
        Assert.Equal(0, FormatTool.Run([link, Path.Combine(_folder, "tidy")], check: false, write: true));
        Assert.Equal(Tidy, File.ReadAllText(loose));
        Assert.Equal((UnixFileMode)0x1a0, File.GetUnixFileMode(loose));
        Assert.Equal(loose, new FileInfo(link).LinkTarget);
        Assert.Equal(before, File.GetLastWriteTimeUtc(Path.Combine(_folder, "tidy")));
        Assert.Equal(["link", "loose", "tidy"], Directory.GetFileSystemEntries(_folder).Select(path => Path.GetFileName(path)).Order());
    }
}
