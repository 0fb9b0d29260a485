using Sandbox.Host;
using Sandbox.Policy.Contract;
using static Sandbox.Host.Libc;

namespace Sandbox.Agent;

/// <summary>
/// One side's ends of a program's standard streams. With a terminal, one descriptor is input and output.
/// </summary>
sealed unsafe class PayloadStreams : IDisposable
{
    private PayloadStreams(FileDescriptor input, FileDescriptor output, FileDescriptor? error)
    {
        Input = input;
        Output = output;
        Error = error;
    }

    public FileDescriptor Input { get; }

    public FileDescriptor Output { get; }

    /// <summary>Null where it is the terminal.</summary>
    public FileDescriptor? Error { get; }

    /// <returns>This side's ends, which never wait, and the program's.</returns>
    /// <exception cref="AgentException">The guest's kernel gives no more.</exception>
    public static (PayloadStreams Mine, PayloadStreams Theirs) Create(AgentTerminal? terminal)
    {
        if (terminal is not null)
            return CreateTerminal(terminal);
        (FileDescriptor inputRead, FileDescriptor inputWrite) = Pipe();
        (FileDescriptor outputRead, FileDescriptor outputWrite) = Pipe();
        (FileDescriptor errorRead, FileDescriptor errorWrite) = Pipe();
        foreach (FileDescriptor mine in (FileDescriptor[])[inputWrite, outputRead, errorRead])
            _ = fcntl(mine.Value, F_SETFL, O_NONBLOCK);
        return (new PayloadStreams(inputWrite, outputRead, errorRead),
            new PayloadStreams(inputRead, outputWrite, errorWrite));
    }

    public static void Resize(FileDescriptor terminal, ushort rows, ushort columns)
    {
        winsize size = new() { ws_row = rows, ws_col = columns };
        _ = terminal.Control(TIOCSWINSZ, &size);
    }

    /// <summary>A pseudoterminal: pty(7), ioctl_tty(2).</summary>
    private static (PayloadStreams Mine, PayloadStreams Theirs) CreateTerminal(AgentTerminal terminal)
    {
        int error = FileDescriptor.TryOpen("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, 0, out FileDescriptor? master);
        if (error != 0)
            throw new AgentException(AgentStep.Execute, -error);
        int unlocked = 0;
        if (master!.Control(TIOCSPTLCK, &unlocked) != 0)
            throw new AgentException(AgentStep.Execute, errno);
        int slave = ioctl(master.Value, TIOCGPTPEER, (void*)(O_RDWR | O_NOCTTY | O_CLOEXEC));
        if (slave < 0)
            throw new AgentException(AgentStep.Execute, errno);
        Resize(master, terminal.Rows, terminal.Columns);
        FileDescriptor program = new(slave);
        return (new PayloadStreams(master, master, null), new PayloadStreams(program, program, null));
    }

    private static (FileDescriptor Read, FileDescriptor Write) Pipe()
    {
        int* ends = stackalloc int[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            throw new AgentException(AgentStep.Execute, errno);
        return (new FileDescriptor(ends[0]), new FileDescriptor(ends[1]));
    }

    public void Dispose()
    {
        Input.Dispose();
        Output.Dispose();
        Error?.Dispose();
    }
}
