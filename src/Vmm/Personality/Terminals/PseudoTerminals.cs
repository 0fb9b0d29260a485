using Sandbox.Host;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Ipc;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>The guest's terminals: what /dev/ptmx makes, /dev/pts lists and /dev/tty stands for (pty(7)).</summary>
public sealed class PseudoTerminals(LinuxPersonality personality)
{
    /// <summary>Terminals at once; Linux's kernel.pty.max is larger, but nobody needs it here.</summary>
    public const int Maximum = 256;

    private readonly Lock _lock = new();
    private readonly PseudoTerminal?[] _terminals = new PseudoTerminal?[Maximum];

    internal LinuxPersonality Personality { get; } = personality;

    /// <summary>st_dev of /dev/pts: ttyname(3) compares it with that of the open terminal.</summary>
    internal ulong Device
    {
        get
        {
            foreach (Mount mount in Personality.Files.Mounts)
            {
                if (mount.FileSystem.TypeName == "devpts")
                    return mount.FileSystem.Device;
            }
            return AnonymousDevices.Terminals;
        }
    }

    /// <summary>Opens /dev/ptmx: a new terminal's master.</summary>
    /// <returns>0, or -ENOSPC when there are too many.</returns>
    public long OpenMaster(GuestThread thread, int flags, out OpenFile? file)
    {
        file = null;
        AnonymousInode inode = Personality.CreateInode(thread, AnonymousDevices.Terminals);
        PseudoTerminal? terminal = TryCreate(inode);
        if (terminal is null)
            return -ENOSPC;
        terminal.IsLocked = true;
        file = new TerminalMaster(terminal, this, flags);
        return 0;
    }

    /// <summary>Opens /dev/pts/N.</summary>
    /// <returns>0, -ENXIO (there is none) or -EIO (locked).</returns>
    public long OpenSlave(GuestThread thread, int number, int flags, out OpenFile? file)
    {
        file = null;
        PseudoTerminal? terminal = Find(number);
        return terminal is null ? -ENXIO : OpenSlave(thread, terminal, flags, out file);
    }

    internal long OpenSlave(GuestThread thread, PseudoTerminal terminal, int flags, out OpenFile? file)
    {
        file = null;
        long result = terminal.AddSlave();
        if (result != 0)
            return result;
        file = new TerminalFile(terminal, flags);
        if ((flags & O_NOCTTY) == 0)
            terminal.Terminal.TryControl(thread, steal: false);
        return 0;
    }

    /// <summary>Opens /dev/tty: the caller's controlling terminal.</summary>
    /// <returns>0 or -ENXIO.</returns>
    public long OpenControlling(GuestThread thread, int flags, out OpenFile? file)
    {
        Terminal? terminal;
        lock (Personality.TaskLock)
            terminal = thread.Process.Session.Terminal;
        file = null;
        if (terminal is null || Find(terminal.Number) is not { } found || found.Terminal != terminal)
            return -ENXIO;
        return OpenSlave(thread, found, flags | O_NOCTTY, out file);
    }

    /// <summary>The next terminal's number from one on, or -1: for listing /dev/pts.</summary>
    public int Next(int from)
    {
        lock (_lock)
        {
            for (int number = Math.Max(from, 0); number < Maximum; number++)
            {
                if (_terminals[number] is not null)
                    return number;
            }
            return -1;
        }
    }

    /// <summary>stat(2) of /dev/pts/N. False when there is no such terminal.</summary>
    public bool TryGetStatus(int number, out stat status)
    {
        PseudoTerminal? terminal = Find(number);
        status = terminal?.Status() ?? default;
        return terminal is not null;
    }

    internal PseudoTerminal? TryCreate(AnonymousInode inode)
    {
        lock (_lock)
        {
            int number = Array.IndexOf(_terminals, null);
            if (number < 0)
                return null;
            Terminal? terminal = Terminal.TryCreate(Personality.KernelMemory, Personality, number);
            return terminal is null ? null : _terminals[number] = new PseudoTerminal(this, terminal, inode);
        }
    }

    internal void Remove(PseudoTerminal terminal)
    {
        lock (_lock)
        {
            if (_terminals[terminal.Terminal.Number] == terminal)
                _terminals[terminal.Terminal.Number] = null;
        }
    }

    private PseudoTerminal? Find(int number)
    {
        lock (_lock)
            return (uint)number < Maximum ? _terminals[number] : null;
    }
}
