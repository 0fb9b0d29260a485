using System.Globalization;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Jail.Cgroups;

namespace Sandbox.Supervisor.Jail.Facts;

sealed partial class JailComparison
{
    const string GroupName = "control group";

    /// <summary>What a group has to limit, by the beginnings of its files' names.</summary>
    static readonly string[] s_controlled = ["memory.", "cpu.", "pids."];

    void CompareGroups()
    {
        foreach (string controller in s_controlled)
            if (!_expected.Groups.Any(group =>
                group.Values.Any(value => value.File.StartsWith(controller, StringComparison.Ordinal))))
                Add(JailWalls.CgroupLimits, GroupName, $"limits of {controller.TrimEnd('.')}", Finding.Missing("none"));
        if (!_expected.Groups.Any(group => group.Values.Any(IsRate)))
            Add(JailWalls.DiskRates, WallNames.Of(JailWalls.DiskRates), "what the policy gives",
                Finding.Missing("none"));
        foreach ((ExpectedGroup expected, GroupFacts found) in _expected.Groups.Zip(_facts.Groups))
        {
            if (expected.Values.Length == 0)
                continue;
            Add(expected.Values.All(IsRate) ? JailWalls.DiskRates : JailWalls.CgroupLimits, GroupName,
                $"the VMM alone in {Quote.Value(expected.Folder)}", Members(found));
            foreach ((GroupValue value, Reading<string> text) in expected.Values.Zip(found.Values))
                Add(IsRate(value) ? JailWalls.DiskRates : JailWalls.CgroupLimits, value.File, Words(value),
                    text.Is(out string? known)
                    ? new Finding(Quote.Value(known), Holds(value, known) ? FactVerdict.Holds : FactVerdict.Weaker)
                    : Finding.CannotBeRead(text.Errno));
        }
    }

    static bool IsRate(GroupValue value) => value.Rule == ValueRule.Disk;

    Finding Members(GroupFacts group)
    {
        if (!group.Processes.Is(out string? text))
            return Finding.CannotBeRead(group.Processes.Errno);
        int[] pids = [.. CgroupText.Processes(text)];
        if (!pids.Contains(_facts.Pid))
            return Finding.Missing("it is not in it");
        return pids.Length == 1
            ? Finding.Holds($"process {pids[0]}")
            : Finding.Weaker($"processes {Finding.Some([.. pids.Select(pid => $"{pid}")])}");
    }

    static string Words(GroupValue value) => value.Rule switch
    {
        ValueRule.AtMost or ValueRule.Share or ValueRule.Disk => $"at most {value.Text}",
        ValueRule.AtLeast => $"at least {value.Text}",
        _ => value.Text,
    };

    static bool Holds(GroupValue value, string found) => value.Rule switch
    {
        ValueRule.AtMost => Number(found) is ulong now && now <= Number(value.Text),
        ValueRule.AtLeast => Number(found) is ulong now && now >= Number(value.Text),
        ValueRule.Share => ShareOf(found) is double now && now <= ShareOf(value.Text),
        ValueRule.Disk => HoldsRate(value.Text, found),
        _ => found == value.Text,
    };

    /// <summary>A line for each disk: its number, and bounds that may have names.</summary>
    static bool HoldsRate(string written, string found)
    {
        string[] bounds = written.Split(' ');
        string[]? line = Array.Find(
            Array.ConvertAll(found.Split('\n'), text => text.Split(' ')), words => words[0] == bounds[0]);
        return line is not null && bounds.Skip(1).All(bound =>
            line.Skip(1).Any(now => NameOf(now) == NameOf(bound) && BoundOf(now) <= BoundOf(bound)));

        static string NameOf(string bound) => bound[..(bound.IndexOf('=') + 1)];
        static ulong? BoundOf(string bound) => Number(bound[(bound.IndexOf('=') + 1)..]);
    }

    static ulong? Number(string text) =>
        ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) ? value : null;

    /// <summary>CPUs' worth; null for "max", which is no bound.</summary>
    static double? ShareOf(string text) =>
        text.Split(' ') is [var quota, var period]
        && Number(quota) is ulong part && Number(period) is > 0 and ulong whole
            ? (double)part / whole
            : null;
}
