using static Sandbox.Host.Libc;

namespace Sandbox.Host;

/// <summary>What the host's seccomp can do.</summary>
public static unsafe class SeccompSupport
{
    /// <summary>Whether filters can be put on: Linux 4.14 with CONFIG_SECCOMP_FILTER.</summary>
    public static bool HasFilters
    {
        get
        {
            uint action = SECCOMP_RET_KILL_PROCESS;
            return seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
        }
    }
}
