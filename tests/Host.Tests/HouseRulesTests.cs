using System.Text.RegularExpressions;
using System.Xml.Linq;
using Xunit;

namespace Sandbox.Host.Tests;

/// <summary>Rules about the shape of the source tree that no compiler checks.</summary>
public partial class HouseRulesTests
{
    /// <summary>What each project below src/ may reference. A new project earns its line here.</summary>
    private static readonly Dictionary<string, string[]> s_arrows = new()
    {
        ["src/Host/Sandbox.Host.csproj"] = [],
        ["src/Gate/Sandbox.Gate.csproj"] = [],
        ["src/Filters/Sandbox.Filters.csproj"] =
            ["src/Host/Sandbox.Host.csproj", "src/Policy/Contract/Sandbox.Policy.Contract.csproj"],
        ["src/Policy/Contract/Sandbox.Policy.Contract.csproj"] = [],
        ["src/Policy/Language/Sandbox.Policy.Language.csproj"] = ["src/Policy/Contract/Sandbox.Policy.Contract.csproj"],
        ["src/Policy/Precompile/Sandbox.Policy.Precompile.csproj"] = ["src/Policy/Language/Sandbox.Policy.Language.csproj"],
        ["src/Vmm/Sandbox.Vmm.csproj"] =
            ["src/Host/Sandbox.Host.csproj", "src/Policy/Contract/Sandbox.Policy.Contract.csproj"],
        ["src/Agent/Sandbox.Agent.csproj"] =
            ["src/Host/Sandbox.Host.csproj", "src/Policy/Contract/Sandbox.Policy.Contract.csproj"],
        ["src/Supervisor/Sandbox.Supervisor.csproj"] =
        [
            "src/Host/Sandbox.Host.csproj", "src/Policy/Language/Sandbox.Policy.Language.csproj",
            "src/Policy/Contract/Sandbox.Policy.Contract.csproj",
        ],
    };

    [Fact]
    public void References_follow_the_arrows()
    {
        var projects = Repository.Files("src", "*.csproj").ToList();
        Assert.Contains(Path.Combine(Repository.Root, "src/Host/Sandbox.Host.csproj"), projects);
        foreach (var project in projects)
        {
            var name = Path.GetRelativePath(Repository.Root, project);
            Assert.True(s_arrows.TryGetValue(name, out var allowed), $"{name} has no arrows: add it to the table");
            foreach (var reference in References(project))
                Assert.True(allowed!.Contains(reference), $"{name} must not reference {reference}");
        }
    }

    [Fact]
    public void The_platform_below_everything_uses_no_packages()
    {
        string[] bare = ["src/Host/Sandbox.Host.csproj", "src/Policy/Contract/Sandbox.Policy.Contract.csproj"];
        foreach (var project in bare)
        {
            var packages = XDocument.Load(Path.Combine(Repository.Root, project)).Descendants("PackageReference");
            Assert.Empty(packages.Select(package => package.Attribute("Include")?.Value));
        }
    }

    [Fact]
    public void Imports_are_only_in_Host()
    {
        var found = new List<string>();
        var inHost = 0;
        foreach (var file in new[] { "src", "fuzz", "bench" }.SelectMany(folder => Repository.Files(folder, "*.cs")))
        {
            var name = Path.GetRelativePath(Repository.Root, file);
            var imports = Import().Count(File.ReadAllText(file));
            if (name.StartsWith("src/Host/", StringComparison.Ordinal))
                inHost += imports;
            else if (imports > 0)
                found.Add(name);
        }
        Assert.True(inHost > 100, $"only {inHost} imports found in src/Host: does the pattern still match?");
        Assert.True(found.Count == 0, $"imports outside src/Host: {string.Join(", ", found)}");
    }

    [Theory]
    [InlineData("[LibraryImport(\"libc\")]", true)]
    [InlineData("[ DllImport(\"libc\")]", true)]
    [InlineData("[SuppressGCTransition, DllImport(\"libc\")]", true)]
    [InlineData("    public static extern int read(int fd);", true)]
    [InlineData("NativeLibrary.Load(\"libc.so.6\")", true)]
    [InlineData("// an external library", false)]
    [InlineData("var external = 1;", false)]
    public void The_pattern_knows_an_import(string line, bool import) => Assert.Equal(import, Import().IsMatch(line));

    private static IEnumerable<string> References(string project) =>
        XDocument.Load(project).Descendants()
            .Where(element => element.Name.LocalName is "ProjectReference")
            // A reference that only orders the build links nothing.
            .Where(element => element.Attribute("ReferenceOutputAssembly")?.Value is not "false")
            .Select(element => element.Attribute("Include")!.Value)
            .Select(path => Path.GetFullPath(path, Path.GetDirectoryName(project)!))
            .Select(path => Path.GetRelativePath(Repository.Root, path));

    [GeneratedRegex(@"\b(LibraryImport|DllImport)(Attribute)?\s*\(|^\s*(\w+\s+)*extern\s+\w|\bNativeLibrary\.", RegexOptions.Multiline)]
    private static partial Regex Import();
}
