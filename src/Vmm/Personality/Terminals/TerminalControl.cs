using Sandbox.Host;
using Sandbox.Vmm.Memory;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Terminals;

/// <summary>The ioctls that both sides of a terminal understand: tty_ioctl(4).</summary>
static class TerminalControl
{
    public static long Ioctl(GuestThread thread, Terminal terminal, bool fromMaster, uint request, ulong argument)
    {
        AddressSpace memory = thread.Memory;
        VirtualAddress address = new(argument);
        switch (request)
        {
            case TCGETS:
                return memory.TryWrite(address, terminal.Settings) ? 0 : -EFAULT;
            case TCGETS2:
                return memory.TryWrite(address, ToExtended(terminal.Settings)) ? 0 : -EFAULT;
            case TCSETS:
            case TCSETSW:
            case TCSETSF:
                return Configure(thread, terminal, fromMaster, address, flushInput: request == TCSETSF);
            case TCSETS2:
            case TCSETSW2:
            case TCSETSF2:
                return ConfigureExtended(thread, terminal, fromMaster, address, flushInput: request == TCSETSF2);
            case TIOCGWINSZ:
                return memory.TryWrite(address, terminal.Size) ? 0 : -EFAULT;
            case TIOCSWINSZ:
                if (!memory.TryRead(address, out winsize size))
                    return -EFAULT;
                terminal.Resize(size);
                return 0;
            case TIOCGPGRP:
                long result = terminal.GetForeground(thread, fromMaster, out int group);
                return result != 0 ? result : memory.TryWrite(address, group) ? 0 : -EFAULT;
            case TIOCSPGRP:
                if (!memory.TryRead(address, out group))
                    return -EFAULT;
                return terminal.SetForeground(thread, group);
            case TIOCGSID:
                result = terminal.GetSession(thread, fromMaster, out int session);
                return result != 0 ? result : memory.TryWrite(address, session) ? 0 : -EFAULT;
            case TCXONC:
                return Flow(thread, terminal, fromMaster, argument);
            case TCFLSH:
                return Flush(thread, terminal, fromMaster, argument);
            case TCSBRK:
            case TCSBRKP:
                // Output is never delayed by a line's speed: it is drained, and there is no line to break.
                return Check(thread, terminal, fromMaster);
            case TIOCGETD:
                return memory.TryWrite(address, N_TTY) ? 0 : -EFAULT;
            case TIOCSETD:
                if (!memory.TryRead(address, out int discipline))
                    return -EFAULT;
                return discipline == N_TTY ? 0 : -EINVAL;
            case TIOCEXCL:
            case TIOCNXCL:
                return 0;
            case TIOCGEXCL:
                return memory.TryWrite(address, 0) ? 0 : -EFAULT;
            // TIOCSTI types for somebody else: refused, as Linux does by default (dev.tty.legacy_tiocsti).
            case TIOCSTI:
                return -EIO;
            default:
                return -ENOTTY;
        }
    }

    private static long Check(GuestThread thread, Terminal terminal, bool fromMaster) =>
        fromMaster ? 0 : terminal.CheckWrite(thread, changesSettings: true);

    private static long Configure(
        GuestThread thread, Terminal terminal, bool fromMaster, VirtualAddress address, bool flushInput)
    {
        long result = Check(thread, terminal, fromMaster);
        if (result != 0)
            return result;
        if (!thread.Memory.TryRead(address, out termios settings))
            return -EFAULT;
        terminal.Configure(settings, flushInput);
        return 0;
    }

    private static unsafe long ConfigureExtended(
        GuestThread thread, Terminal terminal, bool fromMaster, VirtualAddress address, bool flushInput)
    {
        long result = Check(thread, terminal, fromMaster);
        if (result != 0)
            return result;
        if (!thread.Memory.TryRead(address, out termios2 extended))
            return -EFAULT;
        termios settings = new()
        {
            c_iflag = extended.c_iflag,
            c_oflag = extended.c_oflag,
            c_cflag = extended.c_cflag,
            c_lflag = extended.c_lflag,
            c_line = extended.c_line,
        };
        for (int i = 0; i < NCCS; i++)
            settings.c_cc[i] = extended.c_cc[i];
        terminal.Configure(settings, flushInput);
        return 0;
    }

    private static unsafe termios2 ToExtended(termios settings)
    {
        const uint Speed = 38400;
        termios2 extended = new()
        {
            c_iflag = settings.c_iflag,
            c_oflag = settings.c_oflag,
            c_cflag = settings.c_cflag,
            c_lflag = settings.c_lflag,
            c_line = settings.c_line,
            c_ispeed = Speed,
            c_ospeed = Speed,
        };
        for (int i = 0; i < NCCS; i++)
            extended.c_cc[i] = settings.c_cc[i];
        return extended;
    }

    private static long Flow(GuestThread thread, Terminal terminal, bool fromMaster, ulong argument)
    {
        long result = Check(thread, terminal, fromMaster);
        if (result != 0)
            return result;
        switch (argument)
        {
            case TCOOFF:
            case TCOON:
                terminal.SetStopped(argument == TCOOFF);
                return 0;
            case TCIOFF:
            case TCION:
                return 0;
            default:
                return -EINVAL;
        }
    }

    private static long Flush(GuestThread thread, Terminal terminal, bool fromMaster, ulong argument)
    {
        long result = Check(thread, terminal, fromMaster);
        if (result != 0)
            return result;
        if (argument is not (TCIFLUSH or TCOFLUSH or TCIOFLUSH))
            return -EINVAL;
        terminal.Flush(input: argument is TCIFLUSH or TCIOFLUSH, output: argument is TCOFLUSH or TCIOFLUSH);
        return 0;
    }
}
