namespace Sandbox.Supervisor.Launch;

/// <summary>Signals as people know them: signal(7), x86-64 numbers.</summary>
static class SignalNames
{
    static readonly string[] s_names =
    [
        "", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
        "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",
        "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",
        "SIGSYS",
    ];

    /// <summary>As in "signal 11 (SIGSEGV)".</summary>
    public static string Describe(int signal) =>
        signal > 0 && signal < s_names.Length ? $"signal {signal} ({s_names[signal]})" : $"signal {signal}";
}
