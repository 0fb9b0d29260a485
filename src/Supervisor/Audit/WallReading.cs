using System.Globalization;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail;
using Sandbox.Supervisor.Jail.Cgroups;
using Sandbox.Supervisor.Jail.Facts;
using Sandbox.Supervisor.LifeCycle;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>What stands around a running VMM now, held to what its supervisor meant.</summary>
static class WallReading
{
    /// <param name="problem">Why there is nothing to be said, for people.</param>
    /// <returns>Null when there is a problem.</returns>
    public static IReadOnlyList<FactLine>? Of(OpenedSandbox sandbox, out string problem)
    {
        problem = "";
        if (!sandbox.Listed.IsAlive || sandbox.Listed.Record is not SandboxRecord record)
        {
            problem = "it does not run; see sandbox ps";
            return null;
        }

        if (sandbox.Folder.ReadJail() is not JailExpectation expected)
        {
            problem = "nothing is on record of its jail; it may have ended, or be of another version of sandbox";
            return null;
        }

        ProcessFiles? vmm = null, supervisor = null;
        try
        {
            if (ProcessFiles.TryOpen(record.Vmm, out vmm) != 0
                || ProcessFiles.TryOpen(record.Supervisor, out supervisor) != 0)
                problem = "it has ended";
            else if (!sandbox.Owner.IsOwn)
            {
                problem = RecordedProcesses.Doubt(
                    record, sandbox.Owner.User, supervisor!, vmm!, RecordedProcesses.BootedAt) ?? "";
                expected = AsRootKnows(expected, record, sandbox.Owner.User, supervisor!);
            }

            if (problem.Length > 0)
                return null;
            JailFacts? facts = FactReader.Read(
                vmm!, HostCgroupFiles.Instance, record.Vmm, geteuid() == 0, expected.Groups);
            if (facts is not null && facts.Parent == expected.Supervisor)
                return JailComparison.Of(facts, expected);
            problem = "it has ended";
            return null;
        }
        finally
        {
            vmm?.Dispose();
            supervisor?.Dispose();
        }
    }

    /// <summary>
    /// What another user has written down of his jail, with all in its place that root knows himself. What remains his
    /// word: what was granted, and which limits its control group was given.
    /// </summary>
    static JailExpectation AsRootKnows(
        JailExpectation expected, SandboxRecord record, uint user, ProcessFiles supervisor)
    {
        if (ProcessFiles.TryOpen(Environment.ProcessId, out ProcessFiles? self) != 0)
            throw new UsageException("audit sandbox: /proc is needed, and is not mounted");
        using (self)
            return expected with
            {
                Supervisor = record.Supervisor,
                Wanted = JailedProgram.Offered(isRoot: false) | (expected.Wanted & JailWalls.DiskRates),
                HostNamespaces = Namespaces.Known(self!),
                User = user,
                OomScore = supervisor.Read("oom_score_adj").Is(out string? score)
                    && int.TryParse(score, CultureInfo.InvariantCulture, out int adjustment) ? adjustment : 0,
                Groups = [.. expected.Groups.Where(group => Hierarchy.IsBelowRoot(group.Folder))],
                HasKeyring = JailScript.HostHasKeys,
                HasDenyWriteExecute = KernelWalls.HasDenyWriteExecute,
            };
    }

    /// <summary>What a wall of a policy takes all stands.</summary>
    public static bool Stands(Wall wall, IReadOnlyList<FactLine> lines) =>
        RequiredWalls.For(wall) is JailWalls walls && Stands(walls | RequiredWalls.AlsoFor(wall), lines);

    /// <summary>Each line of these walls holds.</summary>
    public static bool Stands(JailWalls walls, IReadOnlyList<FactLine> lines) =>
        lines.All(line => (line.Wall & walls) == 0 || line.Verdict == FactVerdict.Holds);
}
