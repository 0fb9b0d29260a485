using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>The program, and this side's ends of its standard streams: pipes, or one terminal for all.</summary>
sealed unsafe class Payload : IDisposable
{
    private readonly FileDescriptor _end;

    /// <summary>
    /// Its side of a terminal, open here too: a terminal that nobody has open reads as ended, and its program may open
    /// it again.
    /// </summary>
    private readonly FileDescriptor? _terminal;

    private Payload(int pid, FileDescriptor end, PayloadStreams mine, FileDescriptor? terminal)
    {
        Pid = pid;
        _end = end;
        _terminal = terminal;
        Input = mine.Input;
        Output = mine.Output;
        Error = mine.Error;
    }

    public int Pid { get; }

    /// <summary>Readable when the program has ended: pidfd_open(2).</summary>
    public FileDescriptor End => _end;

    /// <summary>Where it reads from; null once that is closed.</summary>
    public FileDescriptor? Input { get; private set; }

    public FileDescriptor Output { get; }

    /// <summary>Null where it has a terminal.</summary>
    public FileDescriptor? Error { get; }

    /// <summary>Whether all its streams are one terminal, which stays as long as the program.</summary>
    public bool HasTerminal => Error is null;

    /// <summary>The size of its terminal, if it has one; its foreground processes are told.</summary>
    public void Resize(ushort rows, ushort columns)
    {
        if (HasTerminal)
            PayloadStreams.Resize(Output, rows, columns);
    }

    /// <summary>Nobody reads it any more: who writes to it is told by SIGPIPE. Not where it has a terminal.</summary>
    public void CloseOutput() => Output.Dispose();

    /// <inheritdoc cref="CloseOutput"/>
    public void CloseError() => Error?.Dispose();

    /// <summary>Not where it has a terminal: that is its output, too.</summary>
    public void CloseInput()
    {
        Input?.Dispose();
        Input = null;
    }

    /// <exception cref="AgentException">The program cannot be started.</exception>
    public static Payload Start(AgentOrder order)
    {
        string program = Find(order);
        (PayloadStreams mine, PayloadStreams theirs) = PayloadStreams.Create(order.Terminal);
        using ChildScript script = new();
        script.Add("setsid", SYS_setsid);
        script.Add("dup2", SYS_dup2, theirs.Input.Value, STDIN_FILENO);
        script.Add("dup2", SYS_dup2, theirs.Output.Value, STDOUT_FILENO);
        script.Add("dup2", SYS_dup2, (theirs.Error ?? theirs.Output).Value, STDERR_FILENO);
        if (order.Terminal is not null)
            script.Add("TIOCSCTTY", SYS_ioctl, STDIN_FILENO, TIOCSCTTY, 0);
        ulong* none = script.Place(0UL);
        script.Add("rt_sigprocmask", SYS_rt_sigprocmask, SIG_SETMASK, (nint)none, 0, sizeof(ulong));
        // The runtime ignores it, and so would the program.
        script.Add(
            "rt_sigaction", SYS_rt_sigaction, SIGPIPE, (nint)script.PlaceAll<ulong>([0, 0, 0, 0]), 0, sizeof(ulong));
        script.Add("chdir", SYS_chdir, script.PlaceText(order.WorkingDirectory));
        script.Add("execve", SYS_execve, script.PlaceText(program), List(script, order.Arguments),
            List(script, order.Environment));
        int error = script.Start(0, 0, out int pid, out FileDescriptor? end);
        if (error != 0)
            throw new AgentException(AgentStep.Execute, -error);
        script.WaitUntilGone();
        FileDescriptor? terminal = order.Terminal is null ? null : theirs.Output;
        if (terminal is null)
            theirs.Dispose();
        if (script.Failure is (string name, int errno))
            throw new AgentException(name == "chdir" ? AgentStep.WorkingDirectory : AgentStep.Execute, errno);
        return new Payload(pid, end!, mine, terminal);
    }

    /// <summary>As execvp(3) finds it, with the program's own PATH.</summary>
    private static string Find(AgentOrder order)
    {
        string name = order.Arguments[0];
        if (name.Contains('/', StringComparison.Ordinal))
            return name;
        string path = order.Environment.FirstOrDefault(
            variable => variable.StartsWith("PATH=", StringComparison.Ordinal), "PATH=/bin:/usr/bin");
        foreach (string folder in path[5..].Split(':'))
        {
            string candidate = $"{folder}/{name}";
            fixed (byte* text = System.Text.Encoding.UTF8.GetBytes(candidate + '\0'))
                if (access(text, X_OK) == 0 && !Directory.Exists(candidate))
                    return candidate;
        }
        throw new AgentException(AgentStep.Lookup, ENOENT);
    }

    private static nint List(ChildScript script, string[] texts)
    {
        nint[] places = [.. texts.Select(script.PlaceText)];
        return script.PlaceList(places);
    }

    public void Dispose()
    {
        CloseInput();
        Output.Dispose();
        Error?.Dispose();
        _terminal?.Dispose();
        _end.Dispose();
    }
}
