using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Signals;

/// <summary>Makes the siginfo_t that Linux makes for each origin of a signal (sigaction(2)).</summary>
public static class SignalInfo
{
    /// <summary>From kill(2).</summary>
    public static siginfo_t User(int signal, int pid, uint uid) =>
        new() { si_signo = signal, si_code = SI_USER, si_pid = pid, si_uid = uid };

    /// <summary>From tkill(2) and tgkill(2).</summary>
    public static siginfo_t Thread(int signal, int pid, uint uid) =>
        new() { si_signo = signal, si_code = SI_TKILL, si_pid = pid, si_uid = uid };

    /// <summary>From the kernel itself: terminals, timers of setitimer(2), SIGPIPE.</summary>
    public static siginfo_t Kernel(int signal) => new() { si_signo = signal, si_code = SI_KERNEL };

    /// <summary>A fault or trap of an instruction.</summary>
    public static siginfo_t Fault(int signal, int code, ulong address) =>
        new() { si_signo = signal, si_code = code, si_addr = address };

    /// <summary>A child changed state (SIGCHLD).</summary>
    /// <param name="status">Exit status, or the signal that killed, stopped or continued it.</param>
    public static siginfo_t Child(
        int signal, int code, int pid, uint uid, int status, long userTicks, long systemTicks) => new()
        {
            si_signo = signal, si_code = code, si_pid = pid, si_uid = uid,
            si_status = status, si_utime = userTicks, si_stime = systemTicks,
        };

    /// <summary>A POSIX timer expired.</summary>
    public static siginfo_t Timer(int signal, int timerId, ulong value) => new()
    {
        si_signo = signal, si_code = SI_TIMER, si_tid = timerId, si_ptr = value,
    };
}
