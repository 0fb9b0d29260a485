using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Terminals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// The streams that the guest's first process finds open.
public sealed partial class LinuxPersonality
{
    internal HostPoller HostPoller { get; } = new();

    /// <summary>Bytes written to standard output and error so far.</summary>
    public long OutputBytes => _output?.Written ?? 0;

    private OutputLimit? _output;

    private PseudoTerminals? _terminals;

    /// <summary>/dev/ptmx, /dev/pts and /dev/tty.</summary>
    public PseudoTerminals Terminals =>
        _terminals ?? Interlocked.CompareExchange(ref _terminals, new PseudoTerminals(this), null) ?? _terminals;

    private HostConsole? _console;
    private Terminal? _consoleTerminal;

    /// <summary>
    /// Puts the plan's streams at descriptors 0, 1 and 2 of the first process, before it runs. One that the plan does
    /// not have stays closed. A terminal becomes the session's controlling one, with the process in its foreground.
    /// </summary>
    /// <param name="descriptors">Those that came with the plan, by index; they must stay open.</param>
    /// <exception cref="HostException">A descriptor is not one, or the host cannot wait for it.</exception>
    public void OpenStandardStreams(Process process, IReadOnlyList<FileDescriptor> descriptors)
    {
        GuestStreams streams = Plan.Streams;
        long limit = Plan.Limits.OutputBytes;
        _output = new OutputLimit(limit, () => End(EndCause.OutputLimit, 0, limit));
        if (streams.Terminal)
        {
            OpenConsole(process, descriptors[streams.Stdin], descriptors[streams.Stdout]);
            return;
        }
        OpenFile? input = OpenStream(descriptors, streams.Stdin);
        // One host descriptor twice is one open file twice, as after "2>&1".
        OpenFile? output = streams.Stdout == streams.Stdin ? Again(input) : OpenStream(descriptors, streams.Stdout);
        OpenFile? error = streams.Stderr == streams.Stdout ? Again(output)
            : streams.Stderr == streams.Stdin ? Again(input) : OpenStream(descriptors, streams.Stderr);
        Place(process.Descriptors, 0, input);
        Place(process.Descriptors, 1, output);
        Place(process.Descriptors, 2, error);
    }

    private static OpenFile? Again(OpenFile? file) => file is not null && file.TryAcquire() ? file : null;

    private void OpenConsole(Process process, FileDescriptor input, FileDescriptor output)
    {
        AnonymousInode inode = new(
            Interlocked.Increment(ref _lastAnonymousInode), Devices.Terminals, Plan.User.Uid, Plan.User.Gid);
        PseudoTerminal terminal = Terminals.TryCreate(inode)
            ?? throw new InvalidOperationException("no room for the first terminal");
        _consoleTerminal = terminal.Terminal;
        ResizeTerminal(Plan.Streams.Rows, Plan.Streams.Columns);
        // One open file for all three, as a login shell finds them.
        terminal.AddSlave();
        TerminalFile file = new(terminal, O_RDWR);
        for (int number = 0; number < 3; number++)
        {
            if (number > 0)
                file.TryAcquire();
            Place(process.Descriptors, number, file);
        }
        terminal.Terminal.Control(process.Session, process.Group.Id);
        _console = new HostConsole(this, terminal, input, output, _output!);
        _console.Start();
    }

    /// <summary>Ties FIFOs and terminals to the nodes of the file tree that stand for them.</summary>
    internal void AttachSpecialFiles(VirtualFileSystem files)
    {
        PseudoTerminals terminals = Terminals;
        files.FifoOpener = FifoFile.Open;
        files.PseudoTerminals = new TerminalDirectory(terminals);
        files.PseudoTerminalOpener = (GuestThread thread, Dentry _, int flags, out OpenFile? file) =>
            terminals.OpenMaster(thread, flags, out file);
        files.TerminalOpener = (GuestThread thread, Dentry _, int flags, out OpenFile? file) =>
            terminals.OpenControlling(thread, flags, out file);
    }

    /// <summary>
    /// Shows what the guest printed last on the operator's terminal; waits a second at most. After the end, once.
    /// </summary>
    public void DrainTerminal() => _console?.Drain(HostClock.MonotonicNanoseconds() + 1_000_000_000);

    /// <summary>The operator's terminal has a new size (rows and columns); nothing without --tty.</summary>
    public void ResizeTerminal(ushort rows, ushort columns) =>
        _consoleTerminal?.Resize(new winsize { ws_row = rows, ws_col = columns });

    private HostStream? OpenStream(IReadOnlyList<FileDescriptor> descriptors, int index)
    {
        if (index < 0)
            return null;
        GuestUser user = Plan.User;
        AnonymousInode inode = new(
            Interlocked.Increment(ref _lastAnonymousInode), Devices.Pipes, user.Uid, user.Gid);
        return new HostStream(descriptors[index], inode, HostPoller, _output);
    }

    private static void Place(DescriptorTable table, int number, OpenFile? file)
    {
        if (file is not null && table.Replace(null, number, file, closeOnExec: false) != number)
            throw new InvalidOperationException($"no room for standard stream {number}");
    }
}
