using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>A terminal as programs have it open: /dev/pts/N, /dev/tty, or a standard stream under --tty.</summary>
public sealed class TerminalFile : OpenFile
{
    private readonly PseudoTerminal _owner;

    internal TerminalFile(PseudoTerminal owner, int flags) : base(flags) => _owner = owner;

    public Terminal Terminal => _owner.Terminal;

    public override string DisplayName => Terminal.Name;

    public override WaitQueue? Waiters => Terminal.Waiters;

    public override long Read(Span<byte> buffer) => Terminal.Read(buffer, IsNonBlocking);

    public override long Read(GuestThread thread, Span<byte> buffer)
    {
        long result = Terminal.CheckRead(thread);
        return result != 0 ? result : Terminal.Read(buffer, IsNonBlocking);
    }

    public override long ReadDeadline(long startedAt) => Terminal.ReadDeadline(startedAt);

    public override long ReadTimedOut(Span<byte> buffer) => Terminal.ReadTimedOut(buffer);

    public override long Write(ReadOnlySpan<byte> buffer) => Terminal.Write(buffer);

    public override long Write(GuestThread thread, ReadOnlySpan<byte> buffer)
    {
        long result = Terminal.CheckWrite(thread, changesSettings: false);
        return result != 0 ? result : Terminal.Write(buffer);
    }

    public override PollEvents Poll() => Terminal.Poll();

    /// <summary>For what it is open for: no rule is asked about the terminal's name again.</summary>
    public override long Reopen(GuestThread thread, int flags, out OpenFile? file)
    {
        file = null;
        return IsOpenFor(flags) ? _owner.Registry.OpenSlave(thread, _owner, flags, out file) : -EACCES;
    }

    public override long GetStatus(out stat status)
    {
        status = _owner.Status();
        return 0;
    }

    public override long Ioctl(GuestThread thread, uint request, ulong argument)
    {
        if (Terminal.IsHungUp)
            return request == TIOCSPGRP ? -ENOTTY : -EIO;
        switch (request)
        {
            case FIONREAD:
                return thread.Memory.TryWrite(new VirtualAddress(argument), Terminal.Available) ? 0 : -EFAULT;
            case TIOCOUTQ:
                return thread.Memory.TryWrite(new VirtualAddress(argument), Terminal.OutputCount) ? 0 : -EFAULT;
            case TIOCSCTTY:
                return Terminal.TryControl(thread, steal: argument == 1);
            case TIOCNOTTY:
                return Terminal.GiveUp(thread);
            default:
                return TerminalControl.Ioctl(thread, Terminal, fromMaster: false, request, argument);
        }
    }

    protected override void Close() => _owner.ReleaseSlave();
}
