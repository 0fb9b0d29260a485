using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// The caller's terminal while it is the guest's: in raw mode every key reaches the guest's own terminal, which echoes
/// and turns Ctrl-C into a signal there. <see cref="Restore"/> puts it back on every way out.
/// </summary>
sealed unsafe class CallersTerminal : IDisposable
{
    readonly Lock _lock = new();
    readonly termios _before;
    bool _raw;

    CallersTerminal(termios before) => _before = before;

    /// <summary>Takes the terminal on stdin; it stays as it is until <see cref="MakeRaw"/>.</summary>
    public static CallersTerminal Open()
    {
        termios settings;
        return ioctl(STDIN_FILENO, TCGETS, &settings) == 0
            ? new CallersTerminal(settings)
            : throw new UsageException("--tty: standard input is not a terminal; run this from one, or leave -t out");
    }

    /// <exception cref="HostException">The terminal has gone.</exception>
    public void MakeRaw()
    {
        // As cfmakeraw(3) does it.
        termios raw = _before;
        raw.c_iflag &= unchecked((uint)~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON));
        raw.c_oflag &= unchecked((uint)~OPOST);
        raw.c_lflag &= unchecked((uint)~(ECHO | ECHONL | ICANON | ISIG | IEXTEN));
        raw.c_cflag = (raw.c_cflag & unchecked((uint)~(CSIZE | PARENB))) | CS8;
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        lock (_lock)
        {
            if (ioctl(STDIN_FILENO, TCSETSW, &raw) != 0)
                throw HostException.Last("ioctl", "TCSETSW");
            _raw = true;
        }
    }

    public void Restore()
    {
        lock (_lock)
        {
            if (!_raw)
                return;
            termios before = _before;
            // Fails only when the terminal itself has gone, and then there is nothing left to restore.
            _ = ioctl(STDIN_FILENO, TCSETSW, &before);
            _raw = false;
        }
    }

    /// <summary>Rows and columns as they are now; null when the terminal has gone.</summary>
    public static (ushort Rows, ushort Columns)? Size
    {
        get
        {
            winsize size;
            return ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 ? (size.ws_row, size.ws_col) : null;
        }
    }

    public void Dispose() => Restore();
}
