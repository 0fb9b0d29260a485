using System.Globalization;

namespace Sandbox.Supervisor.Launch;

/// <summary>Signals as people know them: signal(7), x86-64 numbers.</summary>
static class SignalNames
{
    const int Last = 64;

    static readonly string[] s_names =
    [
        "", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
        "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",
        "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",
        "SIGSYS",
    ];

    /// <summary>A signal by its number, or by its name with or without SIG; null for none.</summary>
    public static int? Parse(string text)
    {
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
            return number is > 0 and <= Last ? number : null;
        string name = text.ToUpperInvariant();
        int found = Array.IndexOf(s_names, name.StartsWith("SIG", StringComparison.Ordinal) ? name : "SIG" + name);
        return found > 0 ? found : null;
    }

    /// <summary>As in "signal 11 (SIGSEGV)".</summary>
    public static string Describe(int signal) =>
        signal > 0 && signal < s_names.Length ? $"signal {signal} ({s_names[signal]})" : $"signal {signal}";
}
