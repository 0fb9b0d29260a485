using System.CommandLine;
using System.Diagnostics;
using Sandbox.Supervisor.CommandLine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>The completion scripts, asked in the shells that they are for.</summary>
public class CompletionTests
{
    static string[] Bash(string line) => Offers("bash", script =>
        // As bash cuts a line at COMP_WORDBREAKS.
        [Fixture("complete.bash"), script, .. line.Replace("=", " = ", StringComparison.Ordinal).Replace(":", " : ", StringComparison.Ordinal).Split(' ')]);

    static string[] Zsh(string line) => Offers("zsh", script => ["-f", Fixture("complete.zsh"), script, line]);

    static string[] Fish(string line) => Offers("fish", script =>
        ["--no-config", "-c", "source $argv[1]; complete -C $argv[2] | string replace -r '\\t.*' ''", script, line]);

    static readonly Dictionary<string, Func<string, string[]>> s_shells = new() { ["bash"] = Bash, ["zsh"] = Zsh, ["fish"] = Fish };

    public static TheoryData<string, string, string[]> Lines
    {
        get
        {
            var lines = new TheoryData<string, string, string[]>();
            foreach (string shell in s_shells.Keys)
            {
                lines.Add(shell, "sandbox ru", ["run"]);
                lines.Add(shell, "sandbox logs --f", ["--follow"]);
                lines.Add(shell, "sandbox run --det", ["--detach"]);
                lines.Add(shell, "sandbox d", ["doctor"]);
                lines.Add(shell, "sandbox run --m", ["--memory", "--modules", "--mount"]);
                lines.Add(shell, "sandbox run --memory 1G --cp", ["--cpu-time", "--cpus"]);
                lines.Add(shell, "sandbox run --handoff ", ["off", "on"]);
                lines.Add(shell, "sandbox completion ", ["bash", "fish", "zsh"]);
                lines.Add(shell, "sandbox doctor --", ["--help"]);
                lines.Add(shell, "sandbox policy sc", ["schema", "score"]);
                lines.Add(shell, "sandbox policy --", ["--help"]);
                lines.Add(shell, "sandbox policy check --", ["--format", "--help"]);
                lines.Add(shell, "sandbox policy check --format ", ["human", "json", "sarif"]);
                lines.Add(shell, "sandbox policy check --format json /etc/hostnam", ["/etc/hostname"]);
                lines.Add(shell, "sandbox policy fmt --w", ["--write"]);
                lines.Add(shell, "sandbox policy fmt /etc/passwd /etc/hostnam", ["/etc/hostname"]);
                lines.Add(shell, "sandbox policy test /etc/alternativ", ["/etc/alternatives"]);
                lines.Add(shell, "sandbox policy test /etc/hostnam", []);
                lines.Add(shell, "sandbox policy sign --k", ["--key"]);
                lines.Add(shell, "sandbox policy sign --key /etc/hostnam", ["/etc/hostname"]);
                lines.Add(shell, "sandbox policy score --key", []);
                lines.Add(shell, "sandbox kernel ", ["add", "check", "list", "remove"]);
                lines.Add(shell, "sandbox kernel list --", ["--help", "--json"]);
                lines.Add(shell, "sandbox kernel check /etc/hostnam", ["/etc/hostname"]);
                lines.Add(shell, "sandbox gc --i", ["--images"]);
                lines.Add(shell, "sandbox run --json /etc/hostnam", ["/etc/hostname"]);
                lines.Add(shell, "sandbox run --mount /etc/hostnam", ["/etc/hostname"]);
                lines.Add(shell, "sandbox run --env SANDBOX_COMPLET", ["SANDBOX_COMPLETION"]);
                lines.Add(shell, "sandbox run -- ls /etc/hostnam", ["/etc/hostname"]);
                lines.Add(shell, "sandbox run -- basenam", ["basename"]);
            }

            return lines;
        }
    }

    [Theory, MemberData(nameof(Lines))]
    public void OffersWhatFits(string shell, string line, string[] expected)
    {
        string[] offers = [.. s_shells[shell](line).Where(offer => offer is not ("-h" or "--" or "-?")).Select(offer => offer.TrimEnd('/')).Distinct().Order(StringComparer.Ordinal)];
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
        string[] commands = s_shells[shell]("sandbox ");
        Assert.All(model.Root.Subcommands, command => Assert.Contains(command.Name, commands));
        Assert.NotEmpty(model.Groups);
        foreach (Command group in model.Groups)
        {
            string[] verbs = s_shells[shell]($"sandbox {group.Name} ");
            Assert.All(group.Subcommands, verb => Assert.Contains(verb.Name, verbs));
        }

        foreach ((string path, Command command) in model.Leaves)
        {
            string[] flags = s_shells[shell]($"sandbox {path} --");
            Assert.Equal(
                [.. command.Options.Select(option => option.Name).Append("--help").Order(StringComparer.Ordinal)],
                flags.Where(flag => flag.StartsWith("--", StringComparison.Ordinal) && flag.Length > 2).Select(flag => flag.TrimEnd('='))
                    .Distinct().Order(StringComparer.Ordinal));
        }
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public void OffersNoFlagsOfOursToTheProgram(string shell) =>
        Assert.DoesNotContain("--memory", s_shells[shell]("sandbox run -- sandbox-no-such-program --mem"));

    static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, name);

    static string[] Offers(string shell, Func<string, string[]> arguments)
    {
        string program = "/usr/bin/" + shell;
        Assert.SkipUnless(File.Exists(program), $"{shell} is not installed");
        string folder = Directory.CreateTempSubdirectory("sandbox-test-").FullName;
        try
        {
            string script = Path.Combine(folder, "completion");
            File.WriteAllText(script, CompletionScript.For(new CommandModel(), shell));
            var start = new ProcessStartInfo(program, arguments(script)) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
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
