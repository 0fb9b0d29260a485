using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail;

/// <summary>Walls that come with the host's kernel. Nobody misses them on an earlier one, and doctor says which.</summary>
static class KernelWalls
{
    /// <summary>An execve enters the time namespace of its process's children; earlier only their fork does.</summary>
    public static bool HasTimeByExecve { get; } = Environment.OSVersion.Version >= new Version(6, 2);

    /// <summary>PR_SET_MDWE, from Linux 6.3 on. The filters refuse executable memory on every kernel.</summary>
    public static bool HasDenyWriteExecute { get; } = prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0;

    /// <summary>Those that this kernel lacks, for people; null for none.</summary>
    public static string? Lacking
    {
        get
        {
            string[] all =
            [
                .. HasTimeByExecve ? [] : (string[])["a time namespace, from Linux 6.2 on"],
                .. HasDenyWriteExecute ? [] : (string[])["memory deny-write-execute, from 6.3 on"],
                .. LandlockRuleset.Lacking,
            ];
            return all.Length == 0 ? null : string.Join("; ", all);
        }
    }
}
