using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;
using Sandbox.Vmm.Personality.SystemCalls;
using Sandbox.Vmm.Personality.Waiting;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>The side of a pseudo-terminal that types and shows: an open /dev/ptmx.</summary>
sealed class TerminalMaster(PseudoTerminal terminal, PseudoTerminals registry, int flags) : OpenFile(flags)
{
    private const uint MasterMajor = 5;
    private const uint MasterMinor = 2;

    private Terminal Terminal => terminal.Terminal;

    public override string DisplayName => "/dev/ptmx";

    public override WaitQueue? Waiters => Terminal.OutputWaiters;

    public override long Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty)
            return 0;
        int count = Terminal.TakeOutput(buffer);
        return count > 0 ? count : terminal.IsAbandoned ? -EIO : -EAGAIN;
    }

    public override long Write(ReadOnlySpan<byte> buffer)
    {
        if (buffer.IsEmpty)
            return 0;
        if (terminal.IsAbandoned)
            return -EIO;
        if (Terminal.IsInputFull)
            return -EAGAIN;
        ReadOnlySpan<byte> piece = buffer[..Math.Min(buffer.Length, Terminal.MaximumTyped)];
        Terminal.Receive(piece);
        return piece.Length;
    }

    public override PollEvents Poll()
    {
        PollEvents events = PollEvents.None;
        if (Terminal.OutputCount > 0)
            events |= PollEvents.Readable;
        if (!Terminal.IsInputFull)
            events |= PollEvents.Writable;
        if (terminal.IsAbandoned)
            events |= PollEvents.HangUp;
        return events;
    }

    public override long GetStatus(out stat status)
    {
        status = terminal.Status();
        status.st_mode = S_IFCHR | 0x1b6;
        status.st_ino = 2;
        status.st_rdev = makedev(MasterMajor, MasterMinor);
        return 0;
    }

    public override long Ioctl(GuestThread thread, uint request, ulong argument)
    {
        AddressSpace memory = thread.Memory;
        VirtualAddress address = new(argument);
        switch (request)
        {
            case TIOCGPTN:
                return memory.TryWrite(address, Terminal.Number) ? 0 : -EFAULT;
            case TIOCSPTLCK:
                if (!memory.TryRead(address, out int locked))
                    return -EFAULT;
                terminal.IsLocked = locked != 0;
                return 0;
            case TIOCGPTLCK:
                return memory.TryWrite(address, terminal.IsLocked ? 1 : 0) ? 0 : -EFAULT;
            case TIOCGPTPEER:
                return OpenPeer(thread, (int)argument);
            case FIONREAD:
                return memory.TryWrite(address, Terminal.OutputCount) ? 0 : -EFAULT;
            case TIOCOUTQ:
                return memory.TryWrite(address, 0) ? 0 : -EFAULT;
            case TIOCPKT:
                // Packet mode is not there; switching it off always works.
                if (!memory.TryRead(address, out int on))
                    return -EFAULT;
                return on == 0 ? 0 : -EINVAL;
            case TIOCGPKT:
                return memory.TryWrite(address, 0) ? 0 : -EFAULT;
            case TIOCSIG:
                return SendSignal(thread, (int)argument);
            default:
                return TerminalControl.Ioctl(thread, Terminal, fromMaster: true, request, argument);
        }
    }

    private long OpenPeer(GuestThread thread, int flags)
    {
        // Before it becomes anybody's controlling terminal.
        long result = InputOutputCalls.Reserve(thread, out InputOutputCalls.Reservation reservation);
        if (result < 0)
            return result;
        result = registry.OpenSlave(thread, terminal, flags, out OpenFile? file);
        if (result == 0)
        {
            result = file!.ChargeTo(registry.Personality.KernelMemory);
            if (result != 0)
                file.Release();
        }
        return reservation.Finish(result, file, (flags & O_CLOEXEC) != 0);
    }

    private long SendSignal(GuestThread thread, int signal)
    {
        if (signal is not (SIGINT or SIGQUIT or SIGTSTP))
            return -EINVAL;
        if (Terminal.GetForeground(thread, fromMaster: true, out int group) == 0 && group != 0)
            registry.Personality.SignalProcessGroup(group, signal, Signals.SignalInfo.Kernel(signal));
        return 0;
    }

    protected override void Close() => terminal.ReleaseMaster();
}
