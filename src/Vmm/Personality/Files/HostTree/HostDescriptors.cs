using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>How many host descriptors the VMM may have, and how many of them guests may make it open.</summary>
static unsafe class HostDescriptors
{
    /// <summary>Kept for virtual CPUs, streams, the channel and directories held by the cache.</summary>
    private const ulong Reserved = 1024;

    private const ulong Most = 1 << 20;

    /// <summary>Raises the soft limit to the hard one; what is left for guests' files, at least a few.</summary>
    /// <exception cref="HostException">prlimit failed.</exception>
    public static int RaiseLimit()
    {
        const int least = 64;
        rlimit64 limit;
        if (prlimit64(0, RLIMIT_NOFILE, null, &limit) != 0)
            throw HostException.Last("prlimit", "RLIMIT_NOFILE");
        if (limit.rlim_cur < limit.rlim_max)
        {
            rlimit64 raised = limit with { rlim_cur = limit.rlim_max };
            if (prlimit64(0, RLIMIT_NOFILE, &raised, null) != 0)
                throw HostException.Last("prlimit", "RLIMIT_NOFILE");
            limit = raised;
        }
        ulong total = Math.Min(limit.rlim_cur, Most);
        return (int)Math.Max(total > Reserved ? total - Reserved : 0, least);
    }
}
