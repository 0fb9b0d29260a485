using System.Text;

namespace Sandbox.Host;

/// <summary>
/// The host refused something that the program needs. The message is one line:
/// "open /dev/kvm: Permission denied (EACCES): add your user to the kvm group".
/// </summary>
public sealed class HostException : Exception
{
    /// <param name="errno">The error number, positive.</param>
    /// <param name="call">The system call that failed, such as "open".</param>
    /// <param name="subject">What it was about: a path, a size, a capability's name.</param>
    /// <param name="advice">What the reader can do about it.</param>
    public HostException(int errno, string call, string? subject = null, string? advice = null)
        : base(Compose(errno, call, subject, advice))
    {
        Errno = errno;
        Call = call;
        Subject = subject;
        Advice = advice;
    }

    public int Errno { get; }

    public string Call { get; }

    public string? Subject { get; }

    public string? Advice { get; }

    /// <summary>From the error that the last import on this thread left; nothing may run in between.</summary>
    public static HostException Last(string call, string? subject = null, string? advice = null) =>
        new(Libc.errno, call, subject, advice);

    private static string Compose(int errno, string call, string? subject, string? advice)
    {
        var line = new StringBuilder(call);
        if (!string.IsNullOrEmpty(subject))
            AppendPrintable(line.Append(' '), subject);
        line.Append(": ").Append(Host.Errno.Describe(errno));
        if (!string.IsNullOrEmpty(advice))
            AppendPrintable(line.Append(": "), advice);
        return line.ToString();
    }

    // Paths are data: a newline or an escape sequence in one must reach neither a log nor a terminal.
    private static void AppendPrintable(StringBuilder line, string text)
    {
        foreach (var c in text)
        {
            if (char.IsControl(c) || c is '\u2028' or '\u2029')
                line.Append($"\\u{(int)c:x4}");
            else
                line.Append(c);
        }
    }
}
