using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.CompilerServices;
using Sandbox.Supervisor.CommandLine;
using Xunit;

namespace Sandbox.Supervisor.Tests;

/// <summary>The commands that docs/policy.md shows are commands, and those that need no guest do what it says.</summary>
public sealed class PolicyGuideTests
{
    static string Guide([CallerFilePath] string here = "") =>
        File.ReadAllText(Path.GetFullPath("../../docs/policy.md", Path.GetDirectoryName(here)!));

    static string[] Commands() =>
        [.. Guide().Split('\n').Where(line => line.StartsWith("    sandbox ", StringComparison.Ordinal)).Select(line => line.Split('#')[0].Trim())];

    [Fact]
    public void EachIsOneThatIsKnown()
    {
        string[] commands = Commands();
        Assert.InRange(commands.Length, 9, 100);
        foreach (string command in commands)
        {
            string[] flags = command.Split(" -- ")[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)[1..];
            var model = new CommandModel();
            ParseResult parsed = CommandLineParser.Parse(model.Root, flags, CommandModel.Configuration);
            Assert.True(parsed.UnmatchedTokens.Count + parsed.Errors.Count == 0, command);
        }
    }

    [Fact]
    public void ThoseThatNeedNoGuestWork()
    {
        using var commandLine = new CommandLineProcess("exec sleep 60", launches: false);
        string example = Guide().Split("```yaml\n")[1].Split("```")[0];
        foreach (string name in (string[])["my.yaml", "web.yaml"])
            File.WriteAllText(Path.Combine(commandLine.Folder, name), example);
        int run = 0;
        foreach (string command in Commands().Where(command =>
                     command.Contains("--show-policy", StringComparison.Ordinal)
                     || (command.StartsWith("sandbox policy ", StringComparison.Ordinal) && !command.Contains(" learn ", StringComparison.Ordinal))))
        {
            (int status, string output, string error) = commandLine.Run(command.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1..]);
            Assert.True(status == 0, $"{command}: {status}\n{output}{error}");
            run++;
        }

        Assert.Equal(5, run);
    }
}
