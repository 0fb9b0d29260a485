using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>
/// How many descriptors this process may have: as many as the host lets it. Linux holds to the same number how many of
/// its user's are on their way between processes, those of other supervisors included (ETOOMANYREFS, unix(7)).
/// </summary>
static unsafe class OpenFileLimit
{
    /// <summary>The caller's, where it was another.</summary>
    static rlimit64? s_callers;

    /// <summary>Where the host refuses, it stays as it was.</summary>
    public static void Raise()
    {
        rlimit64 limit;
        if (prlimit64(0, RLIMIT_NOFILE, null, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
            return;
        rlimit64 raised = limit with { rlim_cur = limit.rlim_max };
        if (prlimit64(0, RLIMIT_NOFILE, &raised, null) == 0)
            s_callers = limit;
    }

    /// <summary>A child begins with what the caller had.</summary>
    public static void Restore(ChildScript script)
    {
        if (s_callers is rlimit64 limit)
            script.Add("prlimit64", SYS_prlimit64, 0, RLIMIT_NOFILE, (nint)script.Place(limit));
    }
}
