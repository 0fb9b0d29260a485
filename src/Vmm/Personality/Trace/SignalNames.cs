using System.Numerics;
using System.Text;
using Sandbox.Vmm.Personality.Signals;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Trace;

/// <summary>SIGHUP and so on; real-time signals as SIGRT_N, the way strace writes them.</summary>
static class SignalNames
{
    private static readonly string[] s_names =
    [
        "0", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
        "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",
        "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",
        "SIGSYS",
    ];

    public static string Of(int signal)
    {
        if ((uint)signal < (uint)s_names.Length)
            return s_names[signal];
        return SignalSet.IsValid(signal) ? $"SIGRT_{signal - SIGRTMIN}" : signal.ToString();
    }

    /// <summary>[HUP INT], or ~[...] when most are in it.</summary>
    public static void AppendSet(StringBuilder line, ulong set)
    {
        const int most = SignalSet.Count / 2;
        if (BitOperations.PopCount(set) > most)
        {
            line.Append('~');
            set = ~set;
        }
        line.Append('[');
        bool first = true;
        for (int signal = 1; signal <= SignalSet.Count; signal++)
        {
            if (!SignalSet.Contains(set, signal))
                continue;
            if (!first)
                line.Append(' ');
            first = false;
            line.Append(Of(signal).AsSpan(3));
        }
        line.Append(']');
    }

    /// <summary>SI_USER and the like, or the code's name for a certain signal.</summary>
    public static string Code(int signal, int code) => (signal, code) switch
    {
        (_, SI_USER) => "SI_USER",
        (_, SI_KERNEL) => "SI_KERNEL",
        (_, SI_QUEUE) => "SI_QUEUE",
        (_, SI_TIMER) => "SI_TIMER",
        (_, SI_TKILL) => "SI_TKILL",
        (SIGCHLD, CLD_EXITED) => "CLD_EXITED",
        (SIGCHLD, CLD_KILLED) => "CLD_KILLED",
        (SIGCHLD, CLD_STOPPED) => "CLD_STOPPED",
        (SIGCHLD, CLD_CONTINUED) => "CLD_CONTINUED",
        (SIGSEGV, SEGV_MAPERR) => "SEGV_MAPERR",
        (SIGSEGV, SEGV_ACCERR) => "SEGV_ACCERR",
        (SIGBUS, BUS_ADRALN) => "BUS_ADRALN",
        (SIGBUS, BUS_ADRERR) => "BUS_ADRERR",
        (SIGFPE, FPE_INTDIV) => "FPE_INTDIV",
        (SIGFPE, FPE_FLTDIV) => "FPE_FLTDIV",
        (SIGFPE, FPE_FLTINV) => "FPE_FLTINV",
        (SIGILL, ILL_ILLOPN) => "ILL_ILLOPN",
        (SIGTRAP, TRAP_TRACE) => "TRAP_TRACE",
        _ => code.ToString(),
    };
}
