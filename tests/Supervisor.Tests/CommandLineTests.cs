using System.Diagnostics;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Supervisor.CommandLine;
using Sandbox.Supervisor.Doctor;
using Sandbox.Supervisor.Machine;
using Sandbox.Supervisor.Tests.Kernels;
using Xunit;
using static Sandbox.Supervisor.Tests.FakeVmm;

namespace Sandbox.Supervisor.Tests;

/// <summary>The command line as its users meet it: a process with arguments, streams, signals and an exit status.</summary>
public class CommandLineTests
{
    static readonly string s_exits = $"{TakeMessage} >start; {Send(MessageKind.Started)}; {Send(MessageKind.Ended, EndCause.Exited, 7)}";

    /// <summary>Root may read and change everything: as root the command that follows is another user's.</summary>
    static readonly string s_asAnybody = Libc.geteuid() == 0 ? "setpriv --reuid 65534 --regid 65534 --clear-groups" : "";

    static readonly string s_giveCacheAway = Libc.geteuid() == 0 ? "chown -R 65534:65534 cache" : "true";

    static void Mistake(string expected, params string[] arguments)
    {
        using var commandLine = new CommandLineProcess("exec sleep 60", launches: false);
        (int status, string output, string error) = commandLine.Run(arguments);
        Assert.Equal((ExitStatus.SandboxFailed, ""), (status, output));
        Assert.StartsWith("sandbox: ", error, StringComparison.Ordinal);
        Assert.Equal(error.Length - 1, error.IndexOf('\n', StringComparison.Ordinal));
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public void TheGuestsStatusIsTheCommandLines()
    {
        using var commandLine = new CommandLineProcess(s_exits);
        Assert.Equal((7, "", ""), commandLine.Run("run", "--", "true"));
    }

    [Theory]
    [InlineData("unknown flag '--memroy'; did you mean --memory?", "run", "--memroy", "1G", "--", "true")]
    [InlineData("unknown flag '--memroy'; did you mean --memory?", "run", "--memroy=1G", "--", "true")]
    [InlineData("unknown flag '--frobnicate'; see sandbox run --help", "run", "--frobnicate", "--", "true")]
    [InlineData("unknown flag '-x'", "run", "-x", "--", "true")]
    [InlineData("put -- before the program", "run", "ls", "-l")]
    [InlineData("put -- before the program", "run", "ls", "--", "-l")]
    [InlineData("no program given", "run")]
    [InlineData("no program given", "run", "--")]
    [InlineData("no program given", "run", "--tty")]
    [InlineData("name is empty", "run", "--", "")]
    [InlineData("--memory: a value is missing; write --memory SIZE", "run", "--memory", "--", "true")]
    [InlineData("--memory: given 2 times", "run", "--memory", "1G", "--memory", "2G", "--", "true")]
    [InlineData("'lots' is not a size", "run", "--memory", "lots", "--", "true")]
    [InlineData("--memory: a value is missing", "run", "--memory=", "--", "true")]
    [InlineData("more than this host or control group has", "run", "--memory", "100T", "--", "true")]
    [InlineData("is too little", "run", "--memory", "1M", "--", "true")]
    [InlineData("--cpus: '0' is not a whole number from 1 to 256", "run", "--cpus", "0", "--", "true")]
    [InlineData("more than this host offers", "run", "--cpus", "256", "--", "true")]
    [InlineData("--processes: '4097' is not", "run", "--processes", "4097", "--", "true")]
    [InlineData("is not a duration", "run", "--timeout", "soon", "--", "true")]
    [InlineData("--handoff: 'maybe' is neither on nor off", "run", "--handoff", "maybe", "--", "true")]
    [InlineData("--json: a value is missing", "run", "--json=", "--", "true")]
    [InlineData("--json: the file name is empty", "run", "--json", "", "--", "true")]
    [InlineData("cannot be written: No such file or directory", "run", "--json", "/nonexistent/x", "--", "true")]
    [InlineData("cannot be written: Is a directory", "run", "--json", "/tmp", "--", "true")]
    [InlineData("cannot be written: Is a directory", "run", "--trace=/tmp", "--", "true")]
    [InlineData("'/nonexistent' cannot be opened: No such file or directory", "run", "--mount", "/nonexistent", "--", "true")]
    [InlineData("'/dev/null' is a device", "run", "--mount", "/dev/null:/x", "--", "true")]
    [InlineData("belongs to a file system of the kernel", "run", "--mount", "/proc:/x", "--", "true")]
    [InlineData("belongs to a file system of the kernel", "run", "--mount", "/proc/self/fd:/x", "--", "true")]
    [InlineData("belongs to a file system of the kernel", "run", "--mount", "/sys:/x", "--", "true")]
    [InlineData("a file system of the kernel", "run", "--mount", "/:/x", "--", "true")]
    [InlineData("cannot become the guest's root", "run", "--mount", "/usr/share:/", "--", "true")]
    [InlineData("the guest's /proc is its own", "run", "--mount", "/usr/share:/proc", "--", "true")]
    [InlineData("unknown command 'rnu'; did you mean run?", "rnu")]
    [InlineData("unknown command 'frobnicate'; see sandbox --help", "frobnicate")]
    [InlineData("no command given")]
    [InlineData("takes no program", "version", "--", "x")]
    [InlineData("unexpected argument 'x'", "version", "x")]
    [InlineData("name one shell", "completion")]
    [InlineData("'tcsh' is not a shell", "completion", "tcsh")]
    [InlineData("--tty: standard input is not a terminal", "run", "-t", "--", "true")]
    [InlineData("'@/etc/passwd' is not a flag; put -- before the program", "run", "@/etc/passwd", "--", "true")]
    [InlineData("--initrd: belongs to --kernel", "run", "--initrd", "/x", "--", "true")]
    [InlineData("leave out what follows --", "run", "--kernel", "/x", "--", "true")]
    [InlineData("--root: belongs to --kernel", "run", "--root", "/x", "--", "true")]
    [InlineData("--initrd: with --root the initrd is made here", "run", "--kernel", "/x", "--root", "/y", "--initrd", "/z", "--", "true")]
    [InlineData("--env: with --kernel this needs --root", "run", "--kernel", "/x", "--env", "A=b")]
    [InlineData("no program given", "run", "--kernel", "/x", "--root", "/y")]
    [InlineData("--mount: only programs without a kernel", "run", "--kernel", "/x", "--mount", "/usr")]
    [InlineData("--cpus: '17' is not a whole number from 1 to 16", "run", "--kernel", "/x", "--cpus", "17")]
    [InlineData("too little for a kernel", "run", "--kernel", "/x", "--memory", "8M")]
    [InlineData("printable ASCII", "run", "--kernel", "/x", "--append", "\u00e4")]
    [InlineData("--kernel: '/nonexistent' cannot be read: No such file", "run", "--kernel", "/nonexistent")]
    [InlineData("--kernel: '/dev/null' is not a file that has anything in it", "run", "--kernel", "/dev/null")]
    [InlineData("--kernel: '/tmp' is not a file", "run", "--kernel", "/tmp")]
    [InlineData("--kernel: the policy builtin:default.yaml is not for machine guests", "run", "--policy", "builtin:default.yaml", "--kernel", "/x")]
    [InlineData("--tap: belongs to --kernel", "run", "--tap", "tap0", "--", "true")]
    [InlineData("gives the guest no network; it would have to list '- device: network' under devices", "run", "--kernel", "/bin/sh", "--tap", "tap0")]
    [InlineData("--tap: a TAP device is given twice", "run", "--kernel", "/x", "--tap", "t,address=10.0.0.2/24", "--tap", "t")]
    [InlineData("have the same MAC address", "run", "--kernel", "/x", "--tap", "t,mac=02:00:00:00:00:01", "--tap", "u,mac=02:00:00:00:00:01")]
    [InlineData("5 are too many; 4 is the most", "run", "--kernel", "/x", "--tap", "a", "--tap", "b", "--tap", "c", "--tap", "d", "--tap", "e")]
    [InlineData("leave out gateway=, or give --root", "run", "--kernel", "/x", "--tap", "t,address=10.0.0.2/24,gateway=10.0.0.1")]
    [InlineData("the policy is for a machine guest", "run", "--policy", "builtin:machine-default.yaml", "--", "true")]
    public void AMistakeIsOneLine(string expected, params string[] arguments) => Mistake(expected, arguments);

    /// <summary>Behind all that comes before it is opened: a kernel, and the modules that its agent needs.</summary>
    [Fact]
    public void AnImageThatIsEmptyOrAnothersIsOneLine()
    {
        using var commandLine = new CommandLineProcess("exec sleep 60", launches: false);
        File.SetUnixFileMode(commandLine.Folder, (UnixFileMode)0b111_101_101);
        string modules = Directory.CreateDirectory(Path.Combine(commandLine.Folder, "modules")).FullName;
        foreach (string name in AgentInitramfs.ModuleNames)
            File.WriteAllText(Path.Combine(modules, name + ".ko"), "\u007fELF");
        File.WriteAllBytes(Path.Combine(commandLine.Folder, "kernel"), KernelTests.BzImage());
        File.WriteAllText(Path.Combine(commandLine.Folder, "sandbox-agent"), "\u007fELF");
        string image = Path.Combine(commandLine.Folder, "image");
        File.WriteAllBytes(image, []);
        Refused("", "sandbox: --root: 'image' is not a file that has anything in it\n");
        Refused(":rw", "sandbox: --root: 'image' is not a file that has anything in it\n");
        File.WriteAllBytes(image, new byte[4096]);
        File.SetUnixFileMode(image, UnixFileMode.None);
        string user = s_asAnybody;
        Refused("", "sandbox: --root: 'image' cannot be read: Permission denied (EACCES)\n", user);
        Refused(":rw", "sandbox: --root: 'image' cannot be written: Permission denied (EACCES)\n", user);
        // As a guest that runs has it, which may only read it and which may write to it.
        File.SetUnixFileMode(image, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using FileDescriptor running = FileDescriptor.Open(image, Libc.O_RDWR);
        const string alone = "sandbox: --root: 'image' is a disk of a guest that runs; only one that it alone has can be written\n";
        Assert.Equal(0, Libc.flock(running.Value, Libc.LOCK_SH));
        Refused(":rw", alone);
        Assert.Equal(0, Libc.flock(running.Value, Libc.LOCK_EX));
        Refused(":rw", alone);
        Refused("", "sandbox: --root: 'image' is written by a guest that runs; wait for its end, or give this one a copy\n");

        void Refused(string end, string line, string user = "") => Assert.Equal((ExitStatus.SandboxFailed, "", line),
            commandLine.Shell($"HOME=/nonexistent exec {user} \"$sandbox\" run --kernel kernel --modules modules --root image{end} -- true"));
    }

    [Fact]
    public void KernelsThatCannotBeReadOrRemovedAreOneLine()
    {
        using var commandLine = new CommandLineProcess("true", launches: false);
        Refused("kernel remove mine", "500", "^sandbox: kernel remove: '.*/kernels/mine' cannot be removed: [^\n]*\n$");
        // The host's are listed all the same.
        Refused("kernel list", "000", "^sandbox: '.*/kernels' cannot be read: [^\n]*\n$", expected: 0);

        void Refused(string verb, string mode, string line, int expected = ExitStatus.SandboxFailed)
        {
            (int status, _, string error) = commandLine.Shell(
                $"""
                chmod 755 .; mkdir -p -m 700 cache/sandbox/kernels/mine/boot; touch cache/sandbox/kernels/.lock; {s_giveCacheAway}; chmod {mode} cache/sandbox/kernels
                XDG_CACHE_HOME=$PWD/cache exec {s_asAnybody} "$sandbox" {verb}
                """);
            Assert.Matches(line, error);
            Assert.Equal(expected, status);
        }
    }

    [Fact]
    public void WhoWaitsForAnotherCommandSaysSo()
    {
        using var commandLine = new CommandLineProcess("true", launches: false);
        (int status, _, string error) = commandLine.Shell(
            $"""
            chmod 755 .; mkdir -p -m 700 cache/sandbox/kernels/mine/boot; touch cache/sandbox/kernels/.lock said; {s_giveCacheAway}
            flock cache/sandbox/kernels/.lock sh -c 'echo >held; until [ -s said ]; do sleep 0.01; done' &
            until [ -e held ]; do sleep 0.01; done
            status=0; XDG_CACHE_HOME=$PWD/cache {s_asAnybody} "$sandbox" kernel remove mine 2>said || status=$?
            cat said >&2; exit $status
            """);
        Assert.Equal("sandbox: waiting for another command, which packs an image or keeps a kernel\n", error);
        Assert.Equal(0, status);
    }

    [Fact]
    public void ThePolicyThatIsShownIsTheOneThatApplies()
    {
        using var commandLine = new CommandLineProcess("exec sleep 60", launches: false);
        (int status, string output, _) = commandLine.Run("run", "--kernel", "/x", "--show-policy");
        Assert.Equal(0, status);
        Assert.Contains("kind: machine", output, StringComparison.Ordinal);
    }

    [Fact]
    public void AMistakeLeavesNoVmmBehind()
    {
        using var commandLine = new CommandLineProcess("echo $$ >pid.new; mv pid.new pid; exec sleep 60");
        Assert.Equal(ExitStatus.SandboxFailed, commandLine.Run("run", "--memory", "lots", "--", "true").Status);
        string pid = Path.Combine(commandLine.Folder, "pid");
        if (File.Exists(pid))
            Assert.False(Directory.Exists("/proc/" + File.ReadAllText(pid).Trim()));
    }

    [Fact]
    public void AMissingVmmIsOneLine()
    {
        using var commandLine = new CommandLineProcess("true");
        File.Delete(Path.Combine(commandLine.Folder, "sandbox-vmm"));
        (int status, _, string error) = commandLine.Run("run", "--", "true");
        Assert.Equal(ExitStatus.SandboxFailed, status);
        Assert.Matches("^sandbox: open .*/sandbox-vmm: No such file or directory .ENOENT.: sandbox-vmm belongs beside sandbox[^\n]*\n$", error);
    }

    [Fact]
    public void AKvmThatCannotBeOpenedIsOneLine()
    {
        Assert.SkipUnless(Libc.geteuid() == 0 && KvmFacts.Ask().Node is (uint mode, _) && (mode & 6) == 0,
            "needs root, to become a user who may not use /dev/kvm");
        using var commandLine = new CommandLineProcess(s_exits);
        commandLine.Shell("chmod 755 .");
        (int status, _, string error) = commandLine.Shell("setpriv --reuid=65534 --regid=65534 --clear-groups \"$sandbox\" run -- true");
        Assert.Equal(ExitStatus.SandboxFailed, status);
        Assert.Equal(
            $"sandbox: open /dev/kvm: Permission denied (EACCES): {KvmDiagnosis.HowToBeLetIn(KvmFacts.NodeOf("/dev/kvm"))}\n", error);
    }

    [Fact]
    public void HelpAndVersionNeedNoVmm()
    {
        using var commandLine = new CommandLineProcess("true", launches: false);
        File.Delete(Path.Combine(commandLine.Folder, "sandbox-vmm"));
        foreach (string[] arguments in new string[][] { ["--help"], ["-h"], ["run", "--help"], ["run", "-h"], ["doctor", "--help"], ["completion", "--help"], ["version", "-h"] })
        {
            (int status, string output, string error) = commandLine.Run(arguments);
            Assert.Equal((0, ""), (status, error));
            Assert.Contains("Usage: sandbox", output, StringComparison.Ordinal);
            Assert.All(output.Split('\n'), line => Assert.InRange(line.Length, 0, 90));
        }

        Assert.Matches(@"^sandbox \d+\.\d+\.\d+\n$", commandLine.Run("version").Output);
        Assert.Matches(@"^sandbox \d+\.\d+\.\d+\n$", commandLine.Run("--version").Output);
    }

    [Fact]
    public void HelpNamesEveryFlagAndEveryExitStatus()
    {
        var model = new CommandModel();
        string help = HelpText.For(model, model.Run.Command);
        Assert.All(model.Run.Command.Options, option => Assert.Contains(option.Name, help, StringComparison.Ordinal));
        foreach (int status in new[] { ExitStatus.TimeLimit, ExitStatus.SandboxFailed, ExitStatus.NotExecutable, ExitStatus.NotFound, ExitStatus.MemoryLimit, ExitStatus.OutputLimit })
            Assert.Contains($"\n  {status}  ", help, StringComparison.Ordinal);
    }

    [Fact]
    public void TheProgramsOwnFlagsAreItsOwn()
    {
        using var commandLine = new CommandLineProcess(s_exits);
        Assert.Equal((7, "", ""), commandLine.Run("run", "--", "true", "--help", "--", "--memory", "-h", "--version", "@x"));
    }

    [Fact]
    public void ATraceFlagDoesNotTakeTheNextWord()
    {
        using var commandLine = new CommandLineProcess(s_exits);
        Assert.Equal(7, commandLine.Run("run", "--trace", "--cpus", "1", "--", "true").Status);
        Assert.Equal(7, commandLine.Run("run", "--trace=calls", "--", "true").Status);
        Assert.Equal("", commandLine.Read("calls"));
    }

    [Fact]
    public void ArgumentsThatAreNoTextAreRefused()
    {
        using var commandLine = new CommandLineProcess(s_exits);
        (int status, _, string error) = commandLine.Shell("\"$sandbox\" run -- echo $'\\xff'");
        Assert.Equal(ExitStatus.SandboxFailed, status);
        Assert.Contains("not valid UTF-8", error, StringComparison.Ordinal);
        Assert.Equal(7, commandLine.Shell("\"$sandbox\" run -- echo $'\\xef\\xbf\\xbd \\xf0\\x9f\\x98\\x80'").Status);
    }

    [Fact]
    public void AResultFileAppearsWholeOrNotAtAll()
    {
        string confined = $"{TakeMessage} >start; {Send(MessageKind.Confined)}; {TakeMessage} >go; {Send(MessageKind.Started)}";
        // The fake VMM cannot receive where it should write what it has counted.
        using var commandLine = new CommandLineProcess($"{confined}; {Send(MessageKind.Ended, EndCause.Exited, 7)}");
        Assert.Equal(7, commandLine.Run("run", "--json", "result.json", "--", "true").Status);
        JsonElement record = JsonDocument.Parse(commandLine.Read("result.json")).RootElement;
        Assert.Equal((7, "exited"), (record.GetProperty("status").GetInt32(), record.GetProperty("cause").GetString()));
        Assert.False(record.TryGetProperty("exits", out _));
        Assert.Contains("network namespace", record.GetProperty("walls").EnumerateArray().Select(line => line.GetProperty("wall").GetString()));
        Assert.Empty(Directory.GetFiles(commandLine.Folder, ".*"));

        using var killed = new CommandLineProcess($"{confined}; touch ready; exec sleep 60");
        using Process process = killed.Start("run", "--json", "result.json", "--", "true");
        Await(Path.Combine(killed.Folder, "ready"));
        Libc.kill(process.Id, Libc.SIGKILL);
        process.WaitForExit();
        Assert.False(File.Exists(Path.Combine(killed.Folder, "result.json")));
        Assert.Empty(Directory.GetFiles(killed.Folder, ".*"));
    }

    [Theory]
    [InlineData("TERM", 15)]
    [InlineData("INT", 2)]
    [InlineData("HUP", 1)]
    [InlineData("QUIT", 3)]
    public void SignalsArePassedOn(string name, int number)
    {
        using var commandLine = new CommandLineProcess(
            $"{TakeMessage} >start; {Send(MessageKind.Started)}; touch ready; {TakeMessage} >signal; {Send(MessageKind.Ended, EndCause.Signaled, number)}");
        using Process process = commandLine.Start("run", "--", "true");
        Await(Path.Combine(commandLine.Folder, "ready"));
        Assert.Equal(0, Libc.kill(process.Id, number));
        (int status, _, string error) = CommandLineProcess.Run(process);
        Assert.Equal(128 + number, status);
        Assert.Equal($"sandbox: the program was ended by signal {number} (SIG{name})\n", error);
        Assert.Equal("0100000002000000" + "0000000000000000" + $"{number:x2}00000000000000" + "0000000000000000", commandLine.Read("signal"));
    }

    [Fact]
    public void ASecondInterruptionIsNotAskedFor()
    {
        using var commandLine = new CommandLineProcess(
            $"{TakeMessage} >start; {Send(MessageKind.Started)}; touch ready; {TakeMessage} >signal; touch again; exec sleep 60");
        using Process process = commandLine.Start("run", "--", "true");
        Await(Path.Combine(commandLine.Folder, "ready"));
        Libc.kill(process.Id, Libc.SIGINT);
        Await(Path.Combine(commandLine.Folder, "again"));
        Libc.kill(process.Id, Libc.SIGINT);
        (int status, _, string error) = CommandLineProcess.Run(process);
        Assert.Equal((130, "sandbox: interrupted twice; the guest was stopped\n"), (status, error));
    }

    [Fact]
    public void TheVmmDoesNotOutliveAKilledCommandLine()
    {
        // Not even one that ignores what it is sent, and the end of its channel.
        using var commandLine = new CommandLineProcess($"trap '' HUP INT TERM; echo $$ >pid; touch ready; while :; do sleep 1; done");
        using Process process = commandLine.Start("run", "--", "true");
        Await(Path.Combine(commandLine.Folder, "ready"));
        Libc.kill(process.Id, Libc.SIGKILL);
        process.WaitForExit();
        string vmm = "/proc/" + commandLine.Read("pid").Trim();
        Assert.True(SpinWait.SpinUntil(() => !Directory.Exists(vmm), 10_000), "the VMM goes on");
    }

    [Fact]
    public void ATerminalIsRawForTheGuestAndRestoredAfterwards()
    {
        using var commandLine = new CommandLineProcess(
            $"{TakeMessage} >start; touch ready; while [ ! -e seen ]; do sleep 0.05; done; {Send(MessageKind.Started)}; {Send(MessageKind.Ended, EndCause.Exited, 5)}");
        (int status, string output, string error) = commandLine.Shell("""
            cat >inner <<'X'
            stty rows 33 cols 77
            stty -a >before
            (while [ ! -e ready ]; do sleep 0.05; done; sleep 0.2; stty -a -F /dev/tty >during; touch seen) &
            "$sandbox" run -t -- true
            echo "status $?" >status
            stty -a >after
            X
            script -qec 'bash inner' /dev/null </dev/null
            """);
        Assert.Equal(("", 0), (error, status));
        Assert.Equal("status 5\n", commandLine.Read("status"));
        Assert.Equal(commandLine.Read("before"), commandLine.Read("after"));
        string during = commandLine.Read("during");
        foreach (string off in new[] { "-icanon", "-echo ", "-isig", "-opost", "-icrnl", "-ixon" })
            Assert.Contains(off, during, StringComparison.Ordinal);
        Assert.NotNull(output);
    }

    [Fact]
    public void AStoppedGuestStopsTheCommandLineAndItsVmm()
    {
        // A VMM that went on would read what is typed for the caller's shell meanwhile.
        using var commandLine = new CommandLineProcess(
            $"echo $$ >vmm; {TakeMessage} >start; {Send(MessageKind.Started)}; {Send(MessageKind.Stopped)}; {TakeMessage} >size; {TakeMessage} >signal; {Send(MessageKind.Ended, EndCause.Exited, 6)}");
        commandLine.Shell("""
            cat >inner <<'X'
            set -m
            stty rows 33 cols 77
            stty -a >before
            "$sandbox" run -t -- true
            echo "$?" >stopped
            stty -a >while
            cut -d' ' -f3 /proc/$(cat vmm)/stat >state
            fg
            echo "$?" >ended
            stty -a >after
            X
            script -qec 'bash inner' /dev/null </dev/null
            """);
        Assert.Equal("147\n", commandLine.Read("stopped"));
        Assert.Equal("T\n", commandLine.Read("state"));
        Assert.Equal("6\n", commandLine.Read("ended"));
        Assert.Equal(commandLine.Read("before"), commandLine.Read("while"));
        Assert.Equal(commandLine.Read("before"), commandLine.Read("after"));
        Assert.Equal("0100000003000000" + "0000000000000000" + "2100000000000000" + "4d00000000000000", commandLine.Read("size"));
        Assert.Equal("0100000002000000" + "0000000000000000" + $"{Libc.SIGCONT:x2}00000000000000" + "0000000000000000", commandLine.Read("signal"));
    }

    [Fact]
    public void WithoutATerminalCtrlZStopsBothAndTheShellResumesBoth()
    {
        using var commandLine = new CommandLineProcess(
            $"echo $$ >vmm; {TakeMessage} >start; {Send(MessageKind.Started)}; touch ready; while [ ! -e go ]; do sleep 0.05; done; {Send(MessageKind.Ended, EndCause.Exited, 6)}");
        using Process process = commandLine.Start("run", "--", "true");
        Await(Path.Combine(commandLine.Folder, "ready"));
        int vmm = int.Parse(commandLine.Read("vmm"));
        Libc.kill(process.Id, Libc.SIGTSTP);
        AwaitState(process.Id, stopped: true);
        AwaitState(vmm, stopped: true);
        File.WriteAllText(Path.Combine(commandLine.Folder, "go"), "");
        Libc.kill(process.Id, Libc.SIGCONT);
        Assert.Equal((6, "", ""), CommandLineProcess.Run(process));
    }

    /// <summary>Takes Start as the VMM does: "plan" is the launch plan, "fds" its descriptors, "channel" the socket.</summary>
    static string Python(string then) => "exec python3 - <<'PYTHON'\n" + """
        import os, socket, struct
        channel = socket.socket(fileno=3)
        message, fds, flags, _ = socket.recv_fds(channel, 64, 253)
        class Reader: # PlanReader and PlanFormat once more, for plans without rules
            def __init__(self, data): self.data, self.at = data, 0
            def take(self, size): self.at += size; return self.data[self.at - size:self.at]
            def number(self, form): return struct.unpack('<' + form, self.take(struct.calcsize('<' + form)))[0]
            def text(self): return self.take(self.number('i')).decode()
            def texts(self): return [self.text() for _ in range(self.number('i'))]
        def read(data):
            r = Reader(data)
            assert r.take(8) == b'sandbox\0' and r.number('i') > 0
            plan = {'arguments': r.texts(), 'environment': r.texts(), 'workingDirectory': r.text(), 'hostname': r.text()}
            r.text(), r.take(8), r.text(), r.take(struct.calcsize('<QiqqiqQi'))
            def file():
                kind, path, descriptor, writable = r.number('B'), r.text(), r.number('i'), r.number('B')
                content = r.text() if r.number('B') else None
                r.take(12)
                return {'kind': 'Host' if kind == 0 else '', 'path': path, 'descriptor': descriptor}
            plan['files'] = [file() for _ in range(r.number('i'))]
            assert r.take(2) == b'\0\0'
            names = ('stdin', 'i'), ('stdout', 'i'), ('stderr', 'i'), ('terminal', 'B'), ('rows', 'H'), ('columns', 'H'), ('result', 'i'), ('trace', 'i')
            plan['streams'] = {name: r.number(form) for name, form in names}
            return plan
        plan, fds = read(os.fdopen(fds[0], 'rb').read()), fds[1:]
        def tell(kind, cause=0, value=0):
            return struct.pack('<IIIIqq', 1, kind, cause, 0, value, 0)

        """ + then + "\nPYTHON";

    [Fact]
    public void TheDescriptorsAreThePlans()
    {
        using var commandLine = new CommandLineProcess(Python("""
            count = struct.unpack('<IIIIqq', message)[4]
            files = {f['path']: f['descriptor'] for f in plan['files'] if f['kind'] == 'Host'}
            streams = plan['streams']
            with open('seen', 'w') as seen:
                print(count == len(fds), sorted(list(files.values()) + [v for k, v in streams.items() if k in ('stdin', 'stdout', 'stderr', 'result', 'trace')]) == list(range(count)), file=seen)
                print(*sorted(p + ' ' + os.readlink('/proc/self/fd/%d' % fds[d]) for p, d in files.items() if p in ('/usr', '/inside', '/file')), sep='\n', file=seen)
                print(os.read(fds[files['/file']], 100), os.read(fds[streams['stdin']], 100), file=seen)
                print(plan['workingDirectory'] == '/inside', plan['arguments'], file=seen)
            os.write(fds[streams['stdout']], b'to stdout')
            os.write(fds[streams['stderr']], b'to stderr')
            os.write(fds[streams['result']], b'{}')
            os.write(fds[streams['trace']], b'traced')
            channel.send(tell(19)); channel.recv(32)
            channel.send(tell(16)); channel.send(tell(17, 1, 9))
            """));
        File.WriteAllText(Path.Combine(commandLine.Folder, "data"), "content");
        File.WriteAllText(Path.Combine(commandLine.Folder, "result"), "old and longer");
        (int status, string output, string error) = commandLine.Shell(
            "echo input | \"$sandbox\" run --mount .:/inside --mount data:/file --json result --trace=trace -- a 'b c' '' 'ä'");
        Assert.Equal((9, "to stdout", "to stderr"), (status, output, error));
        Assert.Equal(
            $"True True\n/file {commandLine.Folder}/data\n/inside {commandLine.Folder}\n/usr /usr\nb'content' b'input\\n'\nTrue ['a', 'b c', '', 'ä']\n",
            commandLine.Read("seen"));
        // What the VMM writes is no record, and is not where one is expected.
        JsonElement record = JsonDocument.Parse(commandLine.Read("result")).RootElement;
        Assert.Equal(9, record.GetProperty("status").GetInt32());
        Assert.False(record.TryGetProperty("exits", out _));
        Assert.Equal("traced", commandLine.Read("trace"));
        Assert.Empty(Directory.GetFiles(commandLine.Folder, ".*"));
    }

    [Fact]
    public void AReadOnlyFileIsOpenedForReadingOnly()
    {
        using var commandLine = new CommandLineProcess(Python("""
            import fcntl
            modes = {f['path']: fcntl.fcntl(fds[f['descriptor']], fcntl.F_GETFL) & os.O_ACCMODE for f in plan['files'] if f['kind'] == 'Host'}
            open('seen', 'w').write('%d %d' % (modes['/ro'], modes['/rw']))
            channel.send(tell(16)); channel.send(tell(17, 1, 0))
            """));
        File.WriteAllText(Path.Combine(commandLine.Folder, "data"), "content");
        Assert.Equal(0, commandLine.Run("run", "--mount", "data:/ro", "--mount", "data:/rw:rw", "--", "true").Status);
        Assert.Equal($"{Libc.O_RDONLY} {Libc.O_RDWR}", commandLine.Read("seen"));
    }

    [Fact]
    public void AVmmThatSendsDescriptorsIsEnded()
    {
        using var commandLine = new CommandLineProcess(Python("""
            socket.send_fds(channel, [tell(16)], [0, 1, 2])
            import time; time.sleep(60)
            """));
        (int status, _, string error) = commandLine.Run("run", "--", "true");
        Assert.Equal(ExitStatus.SandboxFailed, status);
        Assert.Matches("^sandbox: the VMM was stopped because it broke the channel's rules [^\n]*\n$", error);
    }

    [Fact]
    public void ATerminalIsRestoredWhenTheVmmDies()
    {
        using var commandLine = new CommandLineProcess($"{TakeMessage} >start; {Send(MessageKind.Started)}; sleep 0.3; exit 3");
        commandLine.Shell("""
            cat >inner <<'X'
            stty -a >before
            "$sandbox" run -t -- true
            echo "status $?" >status
            stty -a >after
            X
            script -qec 'bash inner' /dev/null </dev/null
            """);
        Assert.Equal("status 125\n", commandLine.Read("status"));
        Assert.Equal(commandLine.Read("before"), commandLine.Read("after"));
    }

    static void AwaitState(int pid, bool stopped)
    {
        var clock = Stopwatch.StartNew();
        while (File.ReadAllText($"/proc/{pid}/stat").Split(' ')[2] == "T" != stopped)
        {
            Assert.InRange(clock.Elapsed.TotalSeconds, 0, 60);
            Thread.Sleep(10);
        }
    }

    static void Await(string path)
    {
        var clock = Stopwatch.StartNew();
        while (!File.Exists(path))
        {
            Assert.InRange(clock.Elapsed.TotalSeconds, 0, 60);
            Thread.Sleep(10);
        }
    }
}
