using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;

namespace Sandbox.Supervisor.Doctor;

/// <summary>What became of a guest's control group, and what to do about it. Pure.</summary>
static class CgroupDiagnosis
{
    /// <param name="group">Null when there is none.</param>
    public static Finding Of(GuestGroup? group, BuiltJail jail, bool isRoot)
    {
        const string subject = "control group of guests";
        return jail.Missing.HasFlag(JailWalls.CgroupLimits)
            ? new Finding(subject, Verdict.Note,
                $"no limit of the host's holds a VMM that has fallen: {group?.Lacks ?? jail.Reason}", Remedy(isRoot))
            : new Finding(subject, Verdict.Ok,
                $"limits memory, CPU time and processes, as {string.Join(", ", group?.Folders ?? [])}");
    }

    /// <param name="lacks">What keeps the group from holding a guest to a rate; null when nothing does.</param>
    public static Finding OfDisks(string? lacks, bool isRoot)
    {
        const string subject = "rates of disks";
        return lacks is null
            ? new Finding(subject, Verdict.Ok, "the control group can hold a guest to the rates of its policy")
            : new Finding(subject, Verdict.Note, $"no control group holds a guest to a rate of its policy: {lacks}",
                Remedy(isRoot));
    }

    static string Remedy(bool isRoot) =>
        $"give the command a group of its own: systemd-run {(isRoot ? "" : "--user ")}--scope -p Delegate=yes "
        + "sandbox run ...; in a container, make /sys/fs/cgroup writable";
}
