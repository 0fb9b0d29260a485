using System.CommandLine;
using System.Text;

namespace Sandbox.Supervisor.CommandLine;

/// <summary>Help for each command: its flags come from the model, the rest is written here.</summary>
static class HelpText
{
    const int DescriptionColumn = 26;

    public static string For(CommandModel model, Command command)
    {
        var text = new StringBuilder();
        text.Append(command.Description).Append("\n\nUsage: ").Append(UsageOf(model, command)).Append('\n');
        if (command.Subcommands.Count > 0)
        {
            text.Append("\nCommands:\n");
            foreach (Command child in command.Subcommands)
                Entry(text, child.Name, child.Description);
        }

        text.Append("\nFlags:\n");
        foreach (Option option in model.FlagsOf(command))
            Entry(text, Spelling(option), option.Description);
        return text.Append(MoreFor(model, command)).ToString();
    }

    static string UsageOf(CommandModel model, Command command)
    {
        if (command == model.Root)
            return "sandbox COMMAND [FLAGS]";
        if (command == model.Run.Command)
            return "sandbox run [FLAGS] -- PROGRAM [ARGUMENTS]";
        if (model.Groups.Contains(command))
            return $"sandbox {command.Name} COMMAND [FLAGS]";
        if (command == model.Policy.Learn)
            return "sandbox policy learn [FLAGS] -- PROGRAM [ARGUMENTS]";
        if (model.GroupOf(command) is Command group)
            return string.Join(' ', new[] { "sandbox", group.Name, command.Name, "[FLAGS]" }.Concat(
                command.Arguments.Select(argument => argument.Name)));
        if (model.LifeCycle.Commands.Contains(command))
            return string.Join(
                ' ', new[] { "sandbox", command.Name }.Concat(command.Options.Count > 0 ? ["[FLAGS]"] : [])
                .Concat(command.Arguments.Select(argument => argument.Name)));
        return command == model.Completion ? "sandbox completion SHELL" : $"sandbox {command.Name}";
    }

    static string Spelling(Option option)
    {
        string names = string.Join(", ", option.Aliases.Append(option.Name));
        return CommandModel.ValueOf(option) switch
        {
            FlagValue.None => names,
            FlagValue.OptionalFile => $"{names}[={option.HelpName}]",
            _ => $"{names} {option.HelpName}",
        };
    }

    static void Entry(StringBuilder text, string name, string? description)
    {
        text.Append("  ").Append(name);
        if (name.Length + 4 > DescriptionColumn)
            text.Append('\n').Append(' ', DescriptionColumn);
        else
            text.Append(' ', DescriptionColumn - 2 - name.Length);
        text.Append(description).Append('\n');
    }

    static string MoreFor(CommandModel model, Command command)
    {
        if (command == model.Run.Command)
            return Run;
        if (model.LifeCycle.Commands.Contains(command))
            return LifeCycle;
        if (command == model.Completion)
            return Completion;
        if (command == model.Doctor)
            return Doctor;
        if (command == model.Policy.Command || model.GroupOf(command) == model.Policy.Command)
            return Policy;
        if (command == model.Audit.Command || model.GroupOf(command) == model.Audit.Command)
            return Audit;
        if (command == model.Kernels.Command || model.GroupOf(command) == model.Kernels.Command)
            return Kernel;
        return command == model.Root ? Root : "";
    }

    const string Root = """

        Examples:
          sandbox run -- python3 -c 'print("hello")'
          sandbox doctor
          sandbox policy check policy.yaml
          sandbox run --help

        Exit status: that of the program; see sandbox run --help for the rest.

        """;

    const string Run = """

        SIZE is a number with K, M, G or T (powers of 1024). TIME is a number with ms,
        s, m, h or d. The guest sees the host's /usr read-only, a small /etc, its own
        /proc, /dev, /tmp and home, and what --mount adds; it has no network unless a
        policy opens some. A mount is read-only and at the same path unless said
        otherwise. The guest starts in the caller's working directory if a mount shows
        it there, else in its home. Of the caller's environment it gets only what --env
        names. Defaults are those of the built-in policy; --policy has its own. With
        --kernel they are 512M and 1 CPU, --cpu-time, --processes, --tmp-size, --user,
        --mount and --trace are refused, and --env, --workdir, --hostname and --modules
        need --root.

        Exit status:
          that of the program, 0 for a guest with a kernel that powered itself off, or
          120   the guest with a kernel (--kernel) reset itself
          121   its kernel panicked
          122   its processor gave up (triple fault)
          124   a time limit was reached (--timeout, --cpu-time)
          125   the sandbox itself failed, or the command line is wrong
          126   the program cannot be executed
          127   the program was not found
          137   the memory limit was reached (--memory), or kill or stop ended it
          153   the output limit was reached (--output-limit)
          128+N signal N ended the program, or came twice
        Each but the program's own comes with one line on stderr that says why.

        Examples:
          sandbox run -- python3 -c 'print("hello")'
          sandbox run --mount . -- python3 script.py
          sandbox run --mount src --mount out:/out:rw -- make -C src DESTDIR=/out
          sandbox run --memory 512M --timeout 10s --cpus 1 -- ./untrusted < input
          sandbox run -t -- bash
          sandbox run --detach --name web --mount . -- python3 server.py
          sandbox run --trace=calls.txt --json result.json -- ls -l /
          sandbox run --kernel vmlinuz --initrd initramfs --append quiet --
          sandbox run --kernel vmlinuz --root debian-tree -- cat /etc/debian_version

        """;

    const string LifeCycle = """

        SANDBOX is an ID, the beginning of one, or the name that run --name gave. A user
        sees his own sandboxes. What a detached sandbox leaves, its record and the last
        1 MiB of each of its output streams, stays until rm or gc removes it, unless it
        was started with --rm; other sandboxes leave nothing. A sandbox that is "lost"
        had its supervisor killed, and died with it. A time limit goes on during a pause.
        TIME is a number with ms, s, m, h or d, or none. SIZE, of balloon, is how much of
        its memory a machine guest is to give back in all, from 0 to all of it: a number
        with K, M, G or T. Linux gives it back as soon as it can, and takes it again
        before it would kill a process; inspect shows how much it has given.

        Exit status: 0; of wait, that of the sandbox's command line; 125 when there is no
        such sandbox or it is in no state for that, with one line on stderr that says so.

        Examples:
          id=$(sandbox run --detach --name web -- python3 -m http.server)
          sandbox ps --all
          sandbox logs --follow web
          sandbox inspect --json web
          sandbox stop --time 5s web
          sandbox kill --signal HUP web
          sandbox balloon machine 256M
          sandbox wait web; echo $?
          sandbox rm web

        """;

    const string Doctor = """

        Exit status: 0 if a guest can run here, 1 if not.

        """;

    const string Policy = """

        FILE is a policy, or builtin:NAME.yaml for one that comes with this program.
        A request is one of:
          open PATH for read|write|execute|create|delete
          connect tcp|udp HOST:PORT
          listen tcp|udp ADDRESS:PORT
          resolve NAME
          syscall NAME [ARGUMENT...]
          device KIND [from FILE]

        Exit status: 0 good, 1 the answer is no (a warning, a denied request, a failed
        case, not implied or equivalent, widened with --fail-on-widening, no good
        signature), 3 a policy is wrong or cannot be compared exactly, 125 the command
        line is. learn ends with the status of a run that failed.

        Examples:
          sandbox policy check my.yaml
          sandbox policy explain --request 'open /etc/shadow for read' my.yaml
          sandbox policy diff --fail-on-widening old.yaml new.yaml
          sandbox policy test --cover 100 policies/tests
          sandbox policy sign --key release.key --revision 4 my.yaml
          sandbox policy learn --runs 3 --out new.yaml --mount . -- python3 script.py

        """;

    const string Audit = """

        LOG is the file that a policy names under audit: to. What show prints is not
        proved; verify proves it, with the log's key and head, which are kept apart
        from it: in $XDG_CONFIG_HOME/sandbox and $XDG_STATE_HOME/sandbox, where these
        are not set in /etc/sandbox and /var/lib/sandbox for root, and in ~/.config and
        ~/.local/state for others.

        sandbox compares the walls around a running sandbox, as the kernel shows them
        now, with what its supervisor built and what its plan grants.

        Exit status: 0 good, 1 a fault, named with its line, 3 the log cannot be
        checked, or not every wall can be read (run it as root), 125 the command line is
        wrong, a file cannot be read, or the sandbox does not run.

        Examples:
          sandbox audit show --denied --since 1h /var/log/sandbox/triage.log
          sandbox audit verify /var/log/sandbox/triage.log
          sandbox audit sandbox 7f3a

        """;

    const string Kernel = """

        KERNEL is a file (a bzImage, or ELF with a PVH entry) or the name of a kernel that
        was kept. add takes a kernel's file, or the folder of an unpacked Debian package,
        and keeps it with the modules that guests with --root need: for root in
        /var/lib/sandbox/kernels, for others in $XDG_CACHE_HOME/sandbox/kernels or
        ~/.cache/sandbox/kernels.

        Exit status: 0 good, 1 the kernel starts, but modules that guests with --root may
        need are missing, 3 no guest can start from it, 125 the command line is wrong or a
        file cannot be read.

        Examples:
          sandbox kernel list
          sandbox kernel check --json /boot/vmlinuz-*
          sandbox kernel add --name cloud unpacked-linux-image
          sandbox run --kernel cloud --root image.ext4 -- uname -r
          sandbox kernel remove cloud

        """;

    const string Completion = """

        Examples:
          bash: sandbox completion bash > ~/.local/share/bash-completion/completions/sandbox
          zsh:  sandbox completion zsh > "${fpath[1]}/_sandbox"
          fish: sandbox completion fish > ~/.config/fish/completions/sandbox.fish

        """;
}
