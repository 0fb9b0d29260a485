namespace Sandbox.Escape;

/// <summary>Standard error is the caller's terminal, and the VMM holds it.</summary>
public sealed class TerminalTests
{
    [Fact]
    public void The_callers_terminal_stays_the_callers()
    {
        World.Need();
        using var victim = new Victim([]);
        var vmm = new HostileVmm($"scenario=attempts\nobey=1\n{victim.Settings}");
        using var terminal = new PseudoTerminal(24, 80);
        string[] command = vmm.Command([], "--mount", $"{victim.Granted}:/granted");
        terminal.Start(command[0], command, World.Variables(victim.Folder), victim.Folder);
        terminal.Expect("granted: change the plan: ", 60);
        Dictionary<string, string> made = Attempts.Read(terminal.Screen);
        string[] open = [.. made.Where(attempt => attempt.Key.StartsWith("terminal: ", StringComparison.Ordinal)
            && attempt.Value == Attempts.Succeeded).Select(attempt => attempt.Key)];
        Assert.Equal(6, made.Keys.Count(name => name.StartsWith("terminal: ", StringComparison.Ordinal)));
        // A descriptor of a terminal is one for both ways: SECURITY.md, "What a guest can reach".
        Assert.Equal(["terminal: read the caller's keys"], open);
        Assert.True(terminal.IsSane());
    }
}
