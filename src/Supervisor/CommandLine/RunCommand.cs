using System.CommandLine;
using System.Globalization;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Kernels;
using Sandbox.Supervisor.LifeCycle;
using Sandbox.Supervisor.Planning;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>
/// <c>sandbox run</c>: its flags as System.CommandLine sees them, and their values as <see cref="RunOptions"/>.
/// Values are taken as text and checked here, so that every mistake is answered in the same one-line form.
/// </summary>
sealed class RunCommand
{
    readonly Option<string> _policy = Value("--policy", "FILE", "what the guest may do, and what flags may add");
    readonly Option<string> _memory = Value("--memory", "SIZE", "guest memory, in-memory files included (default 1G)");
    readonly Option<string> _cpus = Value("--cpus", "N", "threads whose code runs at once (default: the host's CPUs)");
    readonly Option<string> _timeout = Value("--timeout", "TIME", "wall-clock limit, or none (default 1h)");
    readonly Option<string> _cpuTime = Value("--cpu-time", "TIME", "CPU time limit over all threads (default none)");
    readonly Option<string> _processes = Value("--processes", "N", "processes and threads alive at once (default 256)");
    readonly Option<string> _output =
        Value("--output-limit", "SIZE", "bytes to stdout and stderr together (default none)");
    readonly Option<string> _tmp =
        Value("--tmp-size", "SIZE", "bytes in /tmp, /dev/shm and home (default half of memory)");
    readonly Option<string[]> _environment =
        Repeated("--env", "NAME[=VALUE]", "set a variable, or pass the caller's on");
    readonly Option<string> _workdir = Value("--workdir", "DIR", "guest directory to start in (default: see below)");
    readonly Option<string> _hostname = Value("--hostname", "NAME", "host name in the guest (default sandbox)");
    readonly Option<string> _user = Value("--user", "USER", "guest user as NAME, UID or UID:GID (default sandbox)");
    readonly Option<string[]> _mounts =
        Repeated("--mount", MountArgument.Form, "show a host file or folder (default read-only)");
    readonly Option<string> _json = Value("--json", "FILE", "write what happened as JSON");
    readonly Option<string> _trace = Value("--trace", "FILE", "print system calls (default to stderr)");
    readonly Option<string> _kernel = Value("--kernel", "FILE", "boot this Linux kernel, or the one kept by this name");
    readonly Option<string> _initrd = Value("--initrd", "FILE", "initial RAM disk of --kernel");
    readonly Option<string> _root =
        Value("--root", "IMAGE[:rw]", "with --kernel: the image or directory in which PROGRAM runs");
    readonly Option<string> _modules =
        Value("--modules", "DIR", "the kernel's modules (default: where its package has them)");
    readonly Option<string> _append = Value("--append", "TEXT", "more of the kernel's command line");
    readonly Option<string[]> _taps =
        Repeated(TapArgument.Flag, TapArgument.Form, "with --kernel: a network interface on a TAP");
    readonly Option<bool> _tty = new("--tty", "-t")
        { Description = "give the guest a terminal", Arity = ArgumentArity.Zero };
    readonly Option<string> _handoff =
        Value("--handoff", "on|off", "answer system calls over shared memory where exits are expensive");

    readonly Option<string> _name = Value(SandboxName.Flag, "NAME", "what other commands may call it, beside its ID");
    readonly Option<bool> _remove = new("--rm")
        { Description = "with --detach: keep no record and no output after the end", Arity = ArgumentArity.Zero };

    public RunCommand()
    {
        Command = new Command("run", "Run a program in a virtual machine of its own")
        {
            _policy, ShowPolicy, _memory, _cpus, _timeout, _cpuTime, _processes, _output, _tmp, _environment, _workdir,
            _hostname, _user,
            _mounts, _json, _trace, _tty, _handoff, Detach, _name, _remove, _kernel, _initrd, _root, _modules, _append,
            _taps,
        };
    }

    public Command Command { get; }

    /// <summary>Prints the policy instead of running anything.</summary>
    public Option<bool> ShowPolicy { get; } =
        new("--show-policy") { Description = "print the policy that would apply", Arity = ArgumentArity.Zero };

    /// <summary>Leaves the guest running.</summary>
    public Option<bool> Detach { get; } =
        new(DetachFlag, DetachLetter) { Description = "print the sandbox's ID and return once the guest has started",
            Arity = ArgumentArity.Zero };

    public const string DetachFlag = "--detach";
    public const string DetachLetter = "-d";

    /// <summary>
    /// Flags that say nothing about what the guest may do, and make no sense where runs are only watched.
    /// </summary>
    public IEnumerable<Option> OwnFlags =>
        [ShowPolicy, Detach, _name, _remove, _kernel, _initrd, _root, _modules, _append, _taps];

    /// <summary>Null for the default of programs without a kernel of their own.</summary>
    public string? PolicyFile(ParseResult flags) => FileName(flags, _policy)
        ?? (FileName(flags, _kernel) is null ? null : MachinePlanBuilder.DefaultPolicy);

    /// <summary>
    /// Cuts the command line at its first "--": flags before it, the program after it. The program's own arguments
    /// never pass through the flag parser. A bare --trace becomes --trace=-, so that it never takes the next word.
    /// </summary>
    public static (string[] Flags, string[]? Program) Split(string[] arguments)
    {
        int end = Array.IndexOf(arguments, "--");
        string[] flags = end < 0 ? [.. arguments] : arguments[..end];
        for (int i = 0; i < flags.Length; i++)
            if (flags[i] == "--trace")
                flags[i] = "--trace=" + RunOptions.TraceToStderr;
        return (flags, end < 0 ? null : arguments[(end + 1)..]);
    }

    public RunOptions Read(ParseResult flags, string[]? program, Func<string, string?> callersEnvironment)
    {
        MachineOptions? machine = Machine(flags, program);
        if (machine is null or { Root: not null } && program is null or [])
            throw new UsageException("run: no program given; write it after --, as in: sandbox run -- ls -l");
        if (program is ["", ..])
            throw new UsageException(
                "run: the program's name is empty; write it after --, as in: sandbox run -- ls -l");

        ulong? memory = Size(flags, _memory);
        if (memory < RunOptions.MinimumMemory)
            throw new UsageException($"--memory: {ByteSize.Format(memory.Value)} is too little; give at least "
                + $"{ByteSize.Format(RunOptions.MinimumMemory)}");
        bool detach = flags.GetValue(Detach), terminal = flags.GetValue(_tty);
        if (detach && terminal)
            throw new UsageException(
                "--detach: a guest that is left alone has no terminal; leave out --detach or --tty");
        ulong? output = Size(flags, _output);
        if (output == 0)
            throw new UsageException(
                "--output-limit: zero bytes would end the guest at its first word; leave the flag out for no limit");

        return new RunOptions
        {
            // The kernel's first process, which nobody starts from here.
            Arguments = machine is null or { Root: not null } ? program! : ["/init"],
            Machine = machine,
            PolicyFile = PolicyFile(flags),
            Memory = memory,
            Cpus = Count(flags, _cpus, machine is null ? RunOptions.MaximumCpus : MachineOptions.MaximumCpus),
            Timeout = Time(flags, _timeout),
            CpuTime = Time(flags, _cpuTime),
            Processes = Count(flags, _processes, RunOptions.MaximumProcesses),
            OutputLimit = (long?)output,
            TmpSize = Size(flags, _tmp),
            Environment = [.. (flags.GetValue(_environment) ?? [])
                .Select(text => EnvironmentArgument.Parse(text, callersEnvironment))],
            WorkingDirectory = flags.GetValue(_workdir) is string directory
                ? PathArgument.Normalize("--workdir", directory)
                : null,
            Hostname = flags.GetValue(_hostname) is string hostname ? HostnameArgument.Parse(hostname) : null,
            User = flags.GetValue(_user) is string user ? UserArgument.Parse(user) : null,
            Mounts = Mounts(flags),
            ResultFile = FileName(flags, _json),
            TraceFile = FileName(flags, _trace),
            Terminal = terminal,
            Handoff = OnOff(flags, _handoff) ?? true,
            Name = flags.GetValue(_name) is string name ? SandboxName.Parse(name) : null,
            Detach = detach,
            Remove = flags.GetValue(_remove),
        };
    }

    MachineOptions? Machine(ParseResult flags, string[]? program)
    {
        if (FileName(flags, _kernel) is not string kernel)
        {
            foreach (Option option in (Option[])[_initrd, _root, _modules, _append, _taps])
                if (flags.GetResult(option) is { Implicit: false })
                    throw new UsageException($"{option.Name}: belongs to --kernel, which is not given");
            return null;
        }

        (string? root, bool writable) = Root(flags);
        Refuse(flags, [_cpuTime, _processes, _tmp, _user, _mounts, _trace],
            "only programs without a kernel of their own have this; leave it or --kernel out");
        if (root is null)
        {
            Refuse(flags, [_environment, _workdir, _hostname, _modules], "with --kernel this needs --root");
            if (program is { Length: > 0 })
                throw new UsageException(
                    "run: with --kernel and no --root the initrd's own first process runs; leave out what follows --");
        }
        else
        {
            Refuse(flags, [_initrd], "with --root the initrd is made here; leave one of the two out");
        }

        if (Size(flags, _memory) < MachineOptions.MinimumMemory)
            throw new UsageException(
                $"--memory: too little for a kernel; give at least {ByteSize.Format(MachineOptions.MinimumMemory)}");
        return new MachineOptions
        {
            Kernel = KernelStore.PathOf(kernel),
            Initrd = FileName(flags, _initrd),
            Root = root,
            WritableRoot = writable,
            Modules = FileName(flags, _modules),
            Taps = Taps(flags, hasAgent: root is not null),
            CommandLine = KernelCommandLine(flags.GetValue(_append), root is null ? "" : " quiet"),
        };
    }

    TapArgument[] Taps(ParseResult flags, bool hasAgent)
    {
        TapArgument[] taps = Array.ConvertAll(flags.GetValue(_taps) ?? [], TapArgument.Parse);
        if (taps.Length > MachineOptions.MaximumTaps)
            throw new UsageException($"--tap: {taps.Length} are too many; {MachineOptions.MaximumTaps} is the most");
        if (!hasAgent && taps.Any(tap => tap.Gateway is not null))
            throw new UsageException("--tap: with an initrd of its own the guest sets its gateway itself; leave out "
                + "gateway=, or give --root");
        if (taps.DistinctBy(tap => tap.Name).Count() < taps.Length)
            throw new UsageException("--tap: a TAP device is given twice; each has one guest interface");
        if (taps.DistinctBy(tap => Convert.ToHexString(tap.Mac)).Count() < taps.Length)
            throw new UsageException("--tap: two interfaces have the same MAC address; give one another with mac=");
        return taps;
    }

    /// <summary>The image, and whether it may be changed: IMAGE, IMAGE:ro or IMAGE:rw.</summary>
    (string? Image, bool Writable) Root(ParseResult flags)
    {
        string? text = FileName(flags, _root);
        bool writable = text?.EndsWith(":rw", StringComparison.Ordinal) == true;
        if (writable || text?.EndsWith(":ro", StringComparison.Ordinal) == true)
            text = text![..^3];
        return (text, writable);
    }

    static void Refuse(ParseResult flags, Option[] options, string reason)
    {
        foreach (Option option in options)
            if (flags.GetResult(option) is { Implicit: false })
                throw new UsageException($"{option.Name}: {reason}");
    }

    static string KernelCommandLine(string? append, string more)
    {
        if (append.AsSpan().IndexOfAnyExceptInRange(' ', '~') >= 0)
            throw new UsageException("--append: a kernel's command line is printable ASCII");
        string commandLine = MachineOptions.BaseCommandLine + more + (append is null or "" ? "" : $" {append}");
        int length = MachineOptions.VirtioConsole.Length + 1 + commandLine.Length;
        if (length > MachineOptions.MaximumCommandLine)
            throw new UsageException(
                $"--append: the command line has {length} bytes; kernels take {MachineOptions.MaximumCommandLine}");
        return commandLine;
    }

    MountArgument[] Mounts(ParseResult flags)
    {
        string[] texts = flags.GetValue(_mounts) ?? [];
        if (texts.Length > RunOptions.MaximumMounts)
            throw new UsageException($"--mount: {texts.Length} mounts are too many; {RunOptions.MaximumMounts} is the "
                + "most, so mount a folder above them");
        return Array.ConvertAll(texts, MountArgument.Parse);
    }

    static ulong? Size(ParseResult flags, Option<string> option) =>
        flags.GetValue(option) is string text ? ByteSize.Parse(option.Name, text) : null;

    static long? Time(ParseResult flags, Option<string> option) =>
        flags.GetValue(option) is string text ? Duration.ParseMilliseconds(option.Name, text) : null;

    internal static int? Count(ParseResult flags, Option<string> option, int maximum)
    {
        if (flags.GetValue(option) is not string text)
            return null;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count)
            && count >= 1
            && count <= maximum
            ? count
            : throw new UsageException($"{option.Name}: {Quote.Value(text)} is not a whole number from 1 to {maximum}");
    }

    internal static string? FileName(ParseResult flags, Option<string> option) => flags.GetValue(option) switch
    {
        "" => throw new UsageException($"{option.Name}: the file name is empty; write {option.Name}=FILE"),
        var name => name,
    };

    static bool? OnOff(ParseResult flags, Option<string> option) => flags.GetValue(option) switch
    {
        null => null,
        "on" => true,
        "off" => false,
        var text => throw new UsageException($"{option.Name}: {Quote.Value(text)} is neither on nor off"),
    };

    static Option<string> Value(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description };

    static Option<string[]> Repeated(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description + "; may be repeated" };
}
