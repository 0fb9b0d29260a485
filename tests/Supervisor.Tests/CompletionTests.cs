using System.CommandLine;
using System.Diagnostics;
using Sandbox.Supervisor.CommandLine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>The completion scripts, asked in the shells that they are for.</summary>
public class CompletionTests
{
    static IEnumerable<string[]> Bash(string[] lines) => lines.Select(line => Lines("bash", script =>
        // As bash cuts a line at COMP_WORDBREAKS.
        [
            Fixture("complete.bash"), script,
            .. line.Replace("=", " = ", StringComparison.Ordinal).Replace(":", " : ", StringComparison.Ordinal)
                .Split(' '),
        ]));

    /// <summary>In one session: it takes the better part of a second until one can be asked.</summary>
    static IEnumerable<string[]> Zsh(string[] lines)
    {
        string[] all = Lines("zsh", script => ["-f", Fixture("complete.zsh"), script, .. lines]);
        for (int at = 0; at < all.Length; at = Array.IndexOf(all, EndOfOffers, at) + 1)
            yield return all[at..Array.IndexOf(all, EndOfOffers, at)];
    }

    /// <summary>Of complete.zsh's.</summary>
    const string EndOfOffers = ">";

    static IEnumerable<string[]> Fish(string[] lines) => lines.Select(line => Lines("fish", script =>
        ["--no-config", "-c", "source $argv[1]; complete -C $argv[2] | string replace -r '\\t.*' ''", script, line]));

    /// <summary>What a shell offers at the end of each of these lines.</summary>
    static readonly Dictionary<string, Func<string[], IEnumerable<string[]>>> s_shells =
        new() { ["bash"] = Bash, ["zsh"] = Zsh, ["fish"] = Fish };

    static Dictionary<string, string[]> Offers(string shell, IEnumerable<string> lines)
    {
        string[] asked = [.. lines];
        string[][] offers = [.. s_shells[shell](asked)];
        Assert.Equal(asked.Length, offers.Length);
        return asked.Zip(offers).ToDictionary();
    }

    static readonly (string Line, string[] Expected)[] s_lines =
    [
        ("sandbox ru", ["run"]),
        ("sandbox logs --f", ["--follow"]),
        ("sandbox run --det", ["--detach"]),
        ("sandbox d", ["doctor"]),
        ("sandbox run --m", ["--memory", "--modules", "--mount"]),
        ("sandbox run --memory 1G --cp", ["--cpu-time", "--cpus"]),
        ("sandbox run --handoff ", ["off", "on"]),
        ("sandbox completion ", ["bash", "fish", "zsh"]),
        ("sandbox doctor --", ["--help"]),
        ("sandbox policy sc", ["schema", "score"]),
        ("sandbox policy --", ["--help"]),
        ("sandbox policy check --", ["--format", "--help"]),
        ("sandbox policy check --format ", ["human", "json", "sarif"]),
        ("sandbox policy check --format json /etc/hostnam", ["/etc/hostname"]),
        ("sandbox policy fmt --w", ["--write"]),
        ("sandbox policy fmt /etc/passwd /etc/hostnam", ["/etc/hostname"]),
        ("sandbox policy test /etc/alternativ", ["/etc/alternatives"]),
        ("sandbox policy test /etc/hostnam", []),
        ("sandbox policy sign --k", ["--key"]),
        ("sandbox policy sign --key /etc/hostnam", ["/etc/hostname"]),
        ("sandbox policy score --key", []),
        ("sandbox kernel ", ["add", "check", "list", "remove"]),
        ("sandbox kernel list --", ["--help", "--json"]),
        ("sandbox kernel check /etc/hostnam", ["/etc/hostname"]),
        ("sandbox gc --i", ["--images"]),
        ("sandbox run --json /etc/hostnam", ["/etc/hostname"]),
        ("sandbox run --mount /etc/hostnam", ["/etc/hostname"]),
        ("sandbox run --env SANDBOX_COMPLET", ["SANDBOX_COMPLETION"]),
        ("sandbox run -- ls /etc/hostnam", ["/etc/hostname"]),
        ("sandbox run -- basenam", ["basename"]),
    ];

    /// <summary>What each shell offers for all of them, once it has been asked.</summary>
    static readonly Dictionary<string, Lazy<Dictionary<string, string[]>>> s_offers = s_shells.Keys.ToDictionary(
        shell => shell,
        shell => new Lazy<Dictionary<string, string[]>>(() => Offers(shell, s_lines.Select(one => one.Line))));

    public static TheoryData<string, string, string[]> Cases =>
        [.. s_shells.Keys.SelectMany(shell => s_lines.Select(one => (shell, one.Line, one.Expected)))];

    [Theory, MemberData(nameof(Cases))]
    public void OffersWhatFits(string shell, string line, string[] expected)
    {
        string[] offers =
        [
            .. s_offers[shell].Value[line].Where(offer => offer is not ("-h" or "--" or "-?"))
                .Select(offer => offer.TrimEnd('/')).Distinct().Order(StringComparer.Ordinal),
        ];
        // zsh offers the last part of a path; bash puts flags beside what takes its place.
        if (shell == "zsh")
            expected = [.. expected.Select(path => path[(path.LastIndexOf('/') + 1)..])];
        Assert.Equal(expected, line.EndsWith(' ') ? offers.Where(offer => !offer.StartsWith('-')) : offers);
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public void OffersEveryCommandAndEveryFlag(string shell)
    {
        var model = new CommandModel();
        Assert.NotEmpty(model.Groups);
        string OfGroup(Command group) => $"sandbox {group.Name} ";
        string OfLeaf(string path) => $"sandbox {path} --";
        Dictionary<string, string[]> offers = Offers(
            shell, ["sandbox ", .. model.Groups.Select(OfGroup), .. model.Leaves.Select(leaf => OfLeaf(leaf.Path))]);
        Assert.All(model.Root.Subcommands, command => Assert.Contains(command.Name, offers["sandbox "]));
        Assert.All(model.Groups, group => Assert.All(
            group.Subcommands, verb => Assert.Contains(verb.Name, offers[OfGroup(group)])));
        foreach ((string path, Command command) in model.Leaves)
            Assert.Equal(
                [.. command.Options.Select(option => option.Name).Append("--help").Order(StringComparer.Ordinal)],
                offers[OfLeaf(path)].Where(flag => flag.StartsWith("--", StringComparison.Ordinal) && flag.Length > 2)
                    .Select(flag => flag.TrimEnd('=')).Distinct().Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public void OffersNoFlagsOfOursToTheProgram(string shell)
    {
        const string line = "sandbox run -- sandbox-no-such-program --mem";
        Assert.DoesNotContain("--memory", Offers(shell, [line])[line]);
    }

    static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, name);

    /// <summary>What a shell writes that has a file with its completion.</summary>
    static string[] Lines(string shell, Func<string, string[]> arguments)
    {
        string program = "/usr/bin/" + shell;
        Assert.SkipUnless(File.Exists(program), $"{shell} is not installed");
        string folder = Directory.CreateTempSubdirectory("sandbox-test-").FullName;
        try
        {
            string script = Path.Combine(folder, "completion");
            File.WriteAllText(script, CompletionScript.For(new CommandModel(), shell));
            var start = new ProcessStartInfo(program, arguments(script))
            {
                RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
            };
            start.Environment["HOME"] = folder;
            start.Environment["TERM"] = "dumb";
            start.Environment["SANDBOX_COMPLETION"] = "1";
            using Process process = Process.Start(start)!;
            process.StandardInput.Close();
            Task<string> error = process.StandardError.ReadToEndAsync();
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(60_000))
            {
                process.Kill(entireProcessTree: true);
                Assert.Fail($"{shell} did not end");
            }

            Assert.Equal("", error.Result);
            return output.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
