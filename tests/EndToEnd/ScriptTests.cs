using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>
/// Every script of guests/scripts does the same natively and in a guest: shells, the tools of a Debian system, python,
/// perl, compilers, git.
/// </summary>
public sealed class ScriptTests
{
    /// <summary>Scripts that end with a status other than 0, on purpose.</summary>
    static readonly Dictionary<string, int> s_statuses = new() { ["bash-traps.sh"] = 6, ["perl-script.pl"] = 5 };

    static readonly Dictionary<string, string[]> s_needs = new()
    {
        ["compile.sh"] = ["gcc", "g++", "make"], ["git-history.sh"] = ["git"], ["dash-script.sh"] = ["dash"],
        ["archives.sh"] = ["xz", "bzip2"],
    };

    /// <summary>What these leave behind is the same everywhere; others leave time stamps and temporary names in it.</summary>
    static readonly string[] s_sameFiles =
        ["bash-language.sh", "bash-pipelines.sh", "bash-processes.sh", "text-tools.sh", "python-text.py", "dash-script.sh"];

    public static TheoryData<string> Scripts() =>
        [.. Directory.GetFiles(Ring.Scripts).Select(file => Path.GetFileName(file)).Except(["sort-large.sh"]).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Scripts))]
    public void Script_behaves_as_natively(string script) => Run(script, Place.Mounted);

    [Theory]
    [InlineData("file-tools.sh")]
    [InlineData("archives.sh")]
    [InlineData("git-history.sh")]
    [InlineData("python-files.py")]
    [InlineData("compile.sh")]
    public void Script_behaves_as_natively_in_memory(string script) => Run(script, Place.Temporary);

    [Fact]
    public void A_file_of_200_MB_is_sorted_with_less_memory_than_it_is_large() =>
        new Case("@scripts/sort-large.sh") { Flags = ["--memory", "192M", "--tmp-size", "16M"] }.MustMatch();

    static void Run(string script, Place place)
    {
        Tool.Need(s_needs.GetValueOrDefault(script, []));
        if (script.EndsWith(".py", StringComparison.Ordinal))
            Tool.Need("/usr/bin/python3");
        new Case($"@scripts/{script}")
        {
            Place = place,
            Status = s_statuses.GetValueOrDefault(script),
            WithFiles = s_sameFiles.Contains(script),
        }.MustMatch();
    }
}
