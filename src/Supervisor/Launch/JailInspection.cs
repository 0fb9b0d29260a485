using Sandbox.Host;
using Sandbox.Policy.Contract;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Audit;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Launch;

/// <summary>
/// Reads a VMM's jail back from the kernel once, when all of it stands and nothing of the guest's has run: a required
/// wall is what the kernel shows, not what was meant. A policy that requires walls or keeps a log asks for it, and so
/// does --json; all others start without.
/// </summary>
/// <param name="required">Of the policy.</param>
sealed class JailInspection(
    VmmProcess vmm, JailExpectation expected, IReadOnlyList<Sourced<Wall>> required, AuditTrail? audit)
{
    /// <summary>From a process's last trace in /proc to its end.</summary>
    const int EndMilliseconds = 100;

    /// <summary>What was found; empty before, and where /proc does not show the process.</summary>
    public IReadOnlyList<FactLine> Lines { get; private set; } = [];

    /// <param name="reported">What the VMM says that it has put on.</param>
    /// <returns>Null when the guest may run.</returns>
    public Outcome? Look(StartOrders reported)
    {
        int error = ProcessFiles.TryOpen(vmm.Pid, out ProcessFiles? files);
        using (files)
        {
            JailFacts? facts = error == 0
                ? FactReader.Read(files!, HostCgroupFiles.Instance, vmm.Pid, geteuid() == 0, expected.Groups)
                : null;
            if (error is not (0 or -ENOENT or -ESRCH))
                throw new HostException(-error, "open", $"/proc/{vmm.Pid}");
            // Its end is told by whoever waits for it. One that lives and is hidden (proc(5), hidepid) shows no wall.
            if (facts is null && vmm.WaitForEnd(EndMilliseconds))
                return null;
            if (facts is not null)
                Lines = JailComparison.Of(facts, expected with { Reported = reported });
        }

        audit?.RecordWalls(Lines);
        return RequiredWalls.NotConfirmed(required, Lines) is string what ? new Outcome.WallNotConfirmed(what) : null;
    }
}
