using System.Diagnostics;
using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Harness;

/// <summary>
/// A terminal with a person at it: a child in a session of its own whose controlling terminal this is, what it wrote,
/// and what the person types. pty(7).
/// </summary>
sealed unsafe class PseudoTerminal : IDisposable
{
    readonly int _master;
    readonly StringBuilder _screen = new();
    readonly Thread _reader;

    public PseudoTerminal(ushort rows, ushort columns)
    {
        fixed (byte* path = "/dev/ptmx\0"u8)
            _master = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
        int unlocked = 0, number;
        if (_master < 0 || ioctl(_master, (nuint)TIOCSPTLCK, &unlocked) != 0 || ioctl(_master, TIOCGPTN, &number) != 0)
            throw new InvalidOperationException($"no pseudo-terminal: error {errno}");
        Name = $"/dev/pts/{number}";
        Resize(rows, columns);
        _reader = new Thread(Read) { IsBackground = true };
    }

    /// <summary>The other side's path.</summary>
    public string Name { get; }

    public ChildProcess? Child { get; private set; }

    /// <summary>Everything written so far.</summary>
    public string Screen
    {
        get
        {
            lock (_screen)
                return _screen.ToString();
        }
    }

    /// <param name="watched">False: what the child writes stays where it is, until there is no more room.</param>
    public void Start(
        string path, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, string directory, bool watched = true)
    {
        Child = ChildProcess.Start(new ChildOptions
        {
            Path = path, Arguments = arguments, Environment = environment, Directory = directory, Terminal = Name,
        });
        if (watched)
            _reader.Start();
    }

    public void Type(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* pointer = bytes)
            if (write(_master, pointer, (nuint)bytes.Length) != bytes.Length)
                throw new InvalidOperationException($"typing failed: error {errno}");
    }

    public void Resize(ushort rows, ushort columns)
    {
        var size = new winsize { ws_row = rows, ws_col = columns };
        ioctl(_master, (nuint)TIOCSWINSZ, &size);
    }

    /// <summary>Waits until the text appears after what was there when the last wait ended.</summary>
    public void Expect(string text, double seconds = 15)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
        {
            int at = Screen.IndexOf(text, _seen, StringComparison.Ordinal);
            if (at >= 0)
            {
                _seen = at + text.Length;
                return;
            }

            Thread.Sleep(5);
        }

        string child = Child is not { } started ? "not started"
            : started.Ended ? $"ended with {started.Status}" : $"running with {string.Join(", ", ProcessTable.Tree(started.Pid))}";
        Assert.Fail($"\"{text}\" did not appear; the program is {child}; the screen from the last expectation on is\n{Screen[_seen..]}\nand before it\n{Screen[.._seen]}");
    }

    /// <summary>True when the terminal is as a shell expects it: canonical, with echo and signals.</summary>
    public bool IsSane()
    {
        termios settings;
        int other;
        fixed (byte* path = Encoding.UTF8.GetBytes(Name + '\0'))
            other = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
        bool sane = ioctl(other, (nuint)TCGETS, &settings) == 0
            && (settings.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG) && (settings.c_oflag & OPOST) != 0;
        close(other);
        return sane;
    }

    public void Dispose()
    {
        if (Child is not null)
        {
            Child.Kill();
            Child.Wait(TimeSpan.FromSeconds(5));
            Child.EndGroup();
        }

        close(_master);
    }

    int _seen;

    void Read()
    {
        byte[] block = new byte[4096];
        var decoder = Encoding.UTF8.GetDecoder();
        char[] text = new char[8192];
        fixed (byte* pointer = block)
            while (true)
            {
                nint got = read(_master, pointer, (nuint)block.Length);
                if (got < 0 && errno == EINTR)
                    continue;
                if (got <= 0)
                    return; // EIO: nobody has the other side open any more
                int count = decoder.GetChars(block.AsSpan(0, (int)got), text, flush: false);
                lock (_screen)
                    _screen.Append(text, 0, count);
            }
    }
}
