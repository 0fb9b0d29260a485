using System.Globalization;

namespace Sandbox.Supervisor.Jail.Cgroups;

/// <summary>
/// Names of groups tell who made them: a supervisor, by number and start time, which no two processes share. When that
/// one is gone, whoever comes next may remove its groups.
/// </summary>
/// <param name="Pid">As the maker's PID namespace numbers it.</param>
/// <param name="StartTime">In clock ticks since the host's start.</param>
/// <param name="Number">Among the groups of one supervisor.</param>
readonly record struct GroupName(int Pid, ulong StartTime, int Number)
{
    static int s_made;

    /// <summary>The next one of this process.</summary>
    public static GroupName Next(ICgroupFiles files)
    {
        ulong startTime = CgroupText.StartTime(files.Read("/proc/self/stat")) ?? 0;
        return new GroupName(Environment.ProcessId, startTime, Interlocked.Increment(ref s_made));
    }

    /// <summary>Where version 2 makes the supervisor move out of the way of its guests.</summary>
    public GroupName Supervisors => this with { Number = 0 };

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"sandbox-{Pid}-{StartTime}-{Number}");

    public static GroupName? Parse(string name)
    {
        string[] parts = name.Split('-');
        return parts is ["sandbox", var pid, var start, var number] && Small(pid) is int p && Small(number) is int n
            && CgroupText.Number(start) is ulong s && new GroupName(p, s, n) is var parsed && parsed.ToString() == name
            ? parsed
            : null;
    }

    static int? Small(string text) => CgroupText.Number(text) is ulong value and <= int.MaxValue ? (int)value : null;

    /// <summary>Whether its supervisor has ended. Where /proc does not tell, it has not.</summary>
    public bool IsAbandoned(ICgroupFiles files)
    {
        if (Pid <= 0)
            return false;
        string? stat = files.Read($"/proc/{Pid}/stat");
        // One that nobody has waited for yet has ended all the same.
        if (CgroupText.StartTime(stat) is ulong time)
            return time != StartTime || CgroupText.HasEnded(stat);
        // Hidden from this user (hidepid), the process still is there to be signalled.
        return !files.IsProcess(Pid);
    }
}
