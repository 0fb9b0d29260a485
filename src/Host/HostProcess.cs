using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>Children of this process.</summary>
public static unsafe class HostProcess
{
    /// <summary>Waits for the end of a child, whatever signals come meanwhile.</summary>
    /// <returns>The wait status of wait(2); null if somebody else took it (SIGCHLD ignored).</returns>
    public static int? Reap(int pid) => Reap(pid, out _);

    /// <inheritdoc cref="Reap(int)"/>
    /// <param name="usage">What it took; nothing when somebody else took it.</param>
    public static int? Reap(int pid, out rusage usage)
    {
        int status, reaped;
        rusage taken = default;
        do
            reaped = wait4(pid, &status, 0, &taken);
        while (reaped < 0 && errno == EINTR);
        usage = taken;
        return reaped == pid ? status : null;
    }
}
