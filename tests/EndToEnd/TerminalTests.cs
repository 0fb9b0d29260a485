using Sandbox.EndToEnd.Harness;

namespace Sandbox.EndToEnd;

/// <summary>
/// <c>-t</c>: a real terminal in the guest, driven from here through a pseudo-terminal as a person would. Each
/// conversation is also held with the native program, so that the expectations themselves are known to be right.
/// </summary>
[Collection(nameof(Alone))]
public sealed class TerminalTests
{
    public enum Where
    {
        Native,
        Guest,
    }

    [Theory]
    [InlineData(Where.Native)]
    [InlineData(Where.Guest)]
    public void The_window_has_its_size_and_changes_it(Where where)
    {
        using PseudoTerminal terminal = Start(where, "bash", "--norc", "--noprofile");
        terminal.Expect("prompt> ");
        terminal.Type("stty size\r");
        terminal.Expect("33 77");
        // Not a shell loop: a shell may take a Ctrl-C that arrives as its child ends for the child's business.
        terminal.Type("python3 -c 'import os, signal, time\r"
            + "signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b\"resized to %d %d\\n\" % os.get_terminal_size()[::-1]))\r"
            + "print(\"watch\" + \"ing\"); time.sleep(50)'\r");
        terminal.Expect("watching\r\n");
        terminal.Resize(44, 99);
        terminal.Expect("resized to 44 99");
        terminal.Type("\u0003");
        terminal.Expect("KeyboardInterrupt");
        terminal.Expect("prompt> ");
        terminal.Type("exit 3\r");
        End(terminal, 3);
    }

    [Theory]
    [InlineData(Where.Native)]
    [InlineData(Where.Guest)]
    public void Ctrl_C_interrupts_the_foreground_job_and_not_the_shell(Where where)
    {
        using PseudoTerminal terminal = Start(where, "bash", "--norc", "--noprofile");
        terminal.Expect("prompt> ");
        terminal.Type("sleep 100\r");
        terminal.Expect("sleep 100\r\n");
        Thread.Sleep(400);
        terminal.Type("\u0003");
        terminal.Expect("^C");
        terminal.Expect("prompt> ");
        terminal.Type("echo status $?\r");
        terminal.Expect("status 130");
        terminal.Type("while :; do :; done\r");
        terminal.Expect("done\r\n");
        Thread.Sleep(300);
        terminal.Type("\u0003");
        terminal.Expect("prompt> ");
        terminal.Type("exit 0\r");
        End(terminal, 0);
    }

    [Theory]
    [InlineData(Where.Native)]
    [InlineData(Where.Guest)]
    public void Ctrl_Z_stops_a_job_and_fg_continues_it(Where where)
    {
        using PseudoTerminal terminal = Start(where, "bash", "--norc", "--noprofile");
        terminal.Expect("prompt> ");
        terminal.Type("cat; echo after $?\r");
        terminal.Expect("after $?\r\n");
        Thread.Sleep(300);
        terminal.Type("\u001a");
        terminal.Expect("Stopped");
        terminal.Expect("prompt> ");
        terminal.Type("jobs\r");
        terminal.Expect("[1]+  Stopped");
        terminal.Type("fg\r");
        terminal.Expect("cat");
        Thread.Sleep(300);
        terminal.Type("hello\r");
        terminal.Expect("hello\r\nhello\r\n");
        terminal.Type("\u0004");
        terminal.Expect("prompt> ");
        terminal.Type("sleep 0.2 &\r");
        terminal.Expect("[1]");
        terminal.Type("wait; echo waited\r");
        terminal.Expect("\r\nwaited");
        terminal.Type("exit 0\r");
        End(terminal, 0);
    }

    [Theory]
    [InlineData(Where.Native)]
    [InlineData(Where.Guest)]
    public void A_program_sets_the_terminals_modes(Where where)
    {
        Tool.NeedGuestPrograms();
        using PseudoTerminal terminal = Start(where, "@guests/terminal");
        terminal.Expect("stream 0: terminal");
        terminal.Expect("33 rows, 77 columns");
        terminal.Expect("press");
        Thread.Sleep(50);
        terminal.Type("k");
        terminal.Expect("line");
        Thread.Sleep(50);
        terminal.Type("abx\u007fc\r");
        terminal.Expect("end");
        Thread.Sleep(50);
        terminal.Type("\u0004");
        terminal.Expect("done");
        Assert.DoesNotContain("FAILED", terminal.Screen);
        End(terminal, 0);
    }

    [Theory]
    [InlineData(Where.Native)]
    [InlineData(Where.Guest)]
    public void Python_is_interactive(Where where)
    {
        using PseudoTerminal terminal = Start(where, "/usr/bin/python3", "-q", "-i");
        terminal.Expect(">>> ");
        terminal.Type("6 * 7\r");
        terminal.Expect("\r\n42\r\n");
        terminal.Type("import time; time.sleep(50)\r");
        terminal.Expect("(50)\r\n");
        Thread.Sleep(400);
        terminal.Type("\u0003");
        terminal.Expect("KeyboardInterrupt");
        terminal.Expect(">>> ");
        terminal.Type("exit(9)\r");
        End(terminal, 9);
    }

    [Fact]
    public void Ctrl_C_ends_a_program_and_the_terminal_is_as_before()
    {
        using PseudoTerminal terminal = Start(Where.Guest, "sh", "-c", "echo ready; sleep 100");
        terminal.Expect("ready");
        Thread.Sleep(200);
        terminal.Type("\u0003");
        End(terminal, 130);
    }

    [Fact]
    public void The_terminal_is_restored_when_the_guest_is_stopped_by_a_limit()
    {
        using PseudoTerminal terminal = Start(Where.Guest, ["--timeout", "1s"], "sh", "-c", "stty raw -echo; echo ready; sleep 100");
        terminal.Expect("ready");
        terminal.Expect("time limit");
        End(terminal, 124);
    }

    [Theory]
    [InlineData(Where.Native)]
    [InlineData(Where.Guest)]
    public void A_long_paste_waits_for_a_program_that_reads(Where where)
    {
        using PseudoTerminal terminal = Start(
            where, "sh", "-c", "stty raw -echo; echo ready; sleep 1; head -c 65536 | wc -c; stty sane");
        terminal.Expect("ready");
        terminal.Type(new string('x', 65536));
        terminal.Expect("65536");
        End(terminal, 0);
    }

    [Fact]
    public void Without_the_flag_no_stream_is_a_terminal()
    {
        SandboxRun.Need();
        using var terminal = new PseudoTerminal(24, 80);
        Open(terminal, Ring.Sandbox, [Ring.Sandbox, "run", "--", "sh", "-c", "test -t 0 || echo plain; tty"]);
        terminal.Expect("plain");
        terminal.Expect("not a tty");
        End(terminal, 1);
    }

    [Fact]
    public void Output_to_a_terminal_that_nobody_reads_is_interrupted_by_a_signal()
    {
        SandboxRun.Need();
        using var terminal = new PseudoTerminal(24, 80);
        Open(terminal, Ring.Sandbox, [Ring.Sandbox, "run", "--timeout", "20s", "--", "python3", "-c",
            "import os, signal\nsignal.signal(signal.SIGALRM, lambda *_: os._exit(7))\nsignal.setitimer(signal.ITIMER_REAL, 0.3)\n"
            + "while True: os.write(1, b'x' * 3000)"], watched: false);
        End(terminal, 7);
    }

    static PseudoTerminal Start(Where where, params string[] command) => Start(where, [], command);

    static PseudoTerminal Start(Where where, string[] flags, params string[] command)
    {
        var terminal = new PseudoTerminal(33, 77);
        if (where == Where.Native)
        {
            string[] words = [.. command.Select(word => word.Replace("@guests", Ring.GuestPrograms))];
            Open(terminal, Tool.Find(words[0])!, words);
            return terminal;
        }

        SandboxRun.Need();
        string[] usual = flags.Contains("--timeout") ? [] : ["--timeout", "60s"];
        Open(terminal, Ring.Sandbox, [Ring.Sandbox, "run", "-t", .. usual, .. flags, "--env", "PS1=prompt> ", "--mount", $"{Ring.GuestPrograms}:/guests", "--",
            .. command.Select(word => word.Replace("@guests", "/guests"))]);
        return terminal;
    }

    static void Open(PseudoTerminal terminal, string path, IReadOnlyList<string> arguments, bool watched = true)
    {
        string folder = Case.NewFolder("terminal");
        terminal.Start(path, arguments, [.. SandboxRun.Environment(folder), "PS1=prompt> "], folder, watched);
    }

    static void End(PseudoTerminal terminal, int status)
    {
        Assert.True(terminal.Child!.Wait(TimeSpan.FromSeconds(10)), $"the program did not end; the screen is\n{terminal.Screen}");
        Assert.True(terminal.Child.Status == status, $"expected status {status}, got {terminal.Child.Status}; the screen is\n{terminal.Screen}");
        Assert.True(terminal.IsSane(), "the terminal's settings were not restored");
        Assert.Empty(ProcessTable.LeftBehind(terminal.Child.Pid, TimeSpan.FromMilliseconds(500)));
    }
}
