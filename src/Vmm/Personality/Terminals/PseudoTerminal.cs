using Sandbox.Host;
using Sandbox.Vmm.Personality.Ipc;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>
/// One terminal and who has it open: its master (the opener of /dev/ptmx, or the sandbox itself for the operator's
/// terminal) and its slaves (the openers of /dev/pts/N). Lives until all have closed.
/// </summary>
sealed class PseudoTerminal
{
    /// <summary>Linux gives slaves the group tty.</summary>
    private const uint TerminalGroup = 5;

    private const uint SlaveMajor = 136;

    private readonly Lock _lock = new();
    private readonly AnonymousInode _inode;
    private bool _hasMaster = true;
    private bool _wasOpened;
    private int _slaves;

    public PseudoTerminal(PseudoTerminals registry, Terminal terminal, AnonymousInode inode)
    {
        Registry = registry;
        Terminal = terminal;
        _inode = inode;
    }

    public PseudoTerminals Registry { get; }

    public Terminal Terminal { get; }

    /// <summary>TIOCSPTLCK: until the master unlocks it, slaves cannot be opened.</summary>
    public bool IsLocked { get; set; }

    /// <summary>The last program has closed the terminal: the master reads -EIO.</summary>
    public bool IsAbandoned
    {
        get
        {
            lock (_lock)
                return _wasOpened && _slaves == 0;
        }
    }

    /// <summary>One more open slave: 0, or -EIO (no master any more, or locked).</summary>
    public long AddSlave()
    {
        lock (_lock)
        {
            if (!_hasMaster || IsLocked)
                return -EIO;
            _slaves++;
            _wasOpened = true;
            return 0;
        }
    }

    public void ReleaseSlave()
    {
        bool last, gone;
        lock (_lock)
        {
            last = --_slaves == 0;
            gone = last && !_hasMaster;
        }
        if (last)
            Terminal.OutputWaiters.Notify(PollEvents.HangUp | PollEvents.Readable);
        if (gone)
            Terminal.Free();
    }

    public void ReleaseMaster()
    {
        bool gone;
        lock (_lock)
        {
            _hasMaster = false;
            gone = _slaves == 0;
        }
        Registry.Remove(this);
        Terminal.HangUp();
        if (gone)
            Terminal.Free();
    }

    /// <summary>fstat(2) of a slave, and stat(2) of its name.</summary>
    public stat Status()
    {
        stat status = _inode.Status(S_IFCHR | 0x190, 1024);
        status.st_dev = Registry.Device;
        status.st_ino = (ulong)Terminal.Number + 3;
        status.st_rdev = makedev(SlaveMajor, (uint)Terminal.Number);
        status.st_gid = TerminalGroup;
        return status;
    }
}
