using Sandbox.Host;
using Sandbox.Supervisor.Jail.Facts;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// Whether the processes that another user's record names can be his sandbox's. He may have written down any: those of
/// others, or numbers that have become others' since.
/// </summary>
static class RecordedProcesses
{
    /// <summary>For a clock that was put right meanwhile, in milliseconds.</summary>
    const long Slack = 2_000;

    /// <summary>USER_HZ is 100 on x86-64.</summary>
    const ulong TickMilliseconds = 10;

    /// <summary>When the host was started: milliseconds since 1970.</summary>
    public static long BootedAt => (HostClock.RealtimeNanoseconds() - HostClock.BootNanoseconds()) / 1_000_000;

    /// <returns>What is wrong, for people; null when nothing is.</returns>
    public static string? Doubt(SandboxRecord record, uint user)
    {
        if (ProcessFiles.TryOpen(record.Supervisor, out ProcessFiles? supervisor) != 0)
            return $"there is no process {record.Supervisor}";
        using (supervisor)
        {
            if (ProcessFiles.TryOpen(record.Vmm, out ProcessFiles? vmm) != 0)
                return $"there is no process {record.Vmm}";
            using (vmm)
                return Doubt(record, user, supervisor!, vmm!, BootedAt);
        }
    }

    /// <param name="vmm">Held: what is read of it later is of the same process.</param>
    /// <param name="bootedAt">Milliseconds since 1970.</param>
    /// <inheritdoc cref="Doubt(SandboxRecord, uint)"/>
    public static string? Doubt(
        SandboxRecord record, uint user, IProcessFiles supervisor, IProcessFiles vmm, long bootedAt)
    {
        foreach ((int pid, IProcessFiles files) in ((int, IProcessFiles)[])[(record.Supervisor, supervisor),
            (record.Vmm, vmm)])
        {
            if (!files.Read("status").As(ProcText.Status).Is(out ThreadStatus? status)
                || !files.Read("stat").As(ProcText.Stat).Is(out ProcessStat? stat))
                return $"process {pid} cannot be read";
            if (!Array.TrueForAll(status.Uids, id => id == user))
                return $"process {pid} is not of user {user}";
            if ((UInt128)stat.StartTime * TickMilliseconds + (ulong)Math.Max(bootedAt, 0)
                > (ulong)record.StartedAt + Slack)
                return $"process {pid} has started after the sandbox";
            if (pid == record.Vmm && stat.Parent != record.Supervisor)
                return $"process {pid} is not a child of {record.Supervisor}";
        }

        return null;
    }
}
