using Sandbox.Supervisor.Jail;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>All attempts in the whole jail, and behind each of its walls.</summary>
public sealed class WallTests
{
    [Fact]
    public void In_the_whole_jail_only_what_is_known_succeeds()
    {
        World.Need();
        AssertKnown(Attempts.Make(null, []), geteuid() == 0);
    }

    /// <summary>Not even what it would have to put on itself, Landlock's rules and its filters.</summary>
    [Fact]
    public void A_VMM_that_obeys_nothing_gets_no_further()
    {
        World.Need();
        Dictionary<string, string> obedient = Attempts.Make(null, []), hostile = Attempts.Make(null, [], obeys: false);
        string[] more = [.. hostile.Where(made => made.Value == Attempts.Succeeded && obedient[made.Key] != Attempts.Succeeded)
            .Select(made => made.Key)];
        Assert.Empty(more.Except(s_withoutRules));
        Assert.All(s_withoutRules.Except(more), name => Assert.Contains(hostile[name], s_notOffered));
    }

    /// <summary>Its own memory, processes and empty namespaces, to do with as it likes, and calls of the kernel to attack.</summary>
    static readonly string[] s_withoutRules =
    [
        "descriptor bomb", "execute a memfd", "io_uring_setup", "listen on TCP", "make a key", "make written memory executable",
        "map memory writable and executable", "modify_ldt", "mount as root of a new user namespace", "netlink socket",
        "new user namespace", "perf_event_open", "personality without random addresses", "PR_SET_DUMPABLE",
        "ptrace a process of its own", "start a second virtual machine", "turn the death signal off", "userfaultfd",
        "vmsplice", "vsock socket",
    ];

    [Fact]
    public void An_ordinary_users_VMM_gets_no_further()
    {
        World.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can lend another user /dev/kvm");
        AssertKnown(Attempts.Make(null, OrdinaryUser.Prefix()), isRoot: false);
    }

    static void AssertKnown(Dictionary<string, string> made, bool isRoot)
    {
        string[] known = isRoot ? [.. OpenToday.Reasons.Keys] : [.. OpenToday.Reasons.Keys, .. OpenToday.ForOrdinaryUsers];
        Assert.True(made.Count >= 80, $"only {made.Count} attempts were made");
        string[] open = [.. made.Where(attempt => attempt.Value == Attempts.Succeeded).Select(attempt => attempt.Key)];
        Assert.Empty(open.Except(known));
        // What the host does not offer cannot succeed; what it refuses for the jail's sake belongs out of the list.
        Assert.All(known.Except(open), name => Assert.Contains(made[name], s_notOffered));
    }

    static readonly string[] s_notOffered = ["refused ENOSYS", "refused EAFNOSUPPORT", "refused EPERM", "refused EACCES"];

    [Fact]
    public void The_table_of_walls_is_what_it_says()
    {
        World.Need();
        Assert.SkipUnless(geteuid() == 0, "only root can take walls away one by one and still build the others");
        Assert.SkipUnless(KernelWalls.Lacking is null, $"this kernel lacks {KernelWalls.Lacking}");
        WallTable table = WallTable.Find();
        // What a wall let one make and not remove.
        File.Delete("/created-by-a-hostile-vmm");
        Assert.False(table.IsRefusedByHost("read a host file by path"), "there are walls where none was asked for");
        string document = Path.Combine(World.Repository, WallTable.Document);
        if (Environment.GetEnvironmentVariable("SANDBOX_WRITE_JAIL_TABLE") is not null)
            File.WriteAllText(document, table.Write());

        string[] recorded = File.ReadAllLines(document);
        Assert.Equal(table.Names, recorded.Where(line => line.StartsWith("| ", StringComparison.Ordinal))
            .Skip(1).Select(line => line.Split(" | ")[0][2..]));
        string[] differences = [.. table.Names.Where(name => !table.IsRefusedByHost(name)).Select(table.Row)
            .Where(row => !recorded.Contains(row) && !IsRefusedElsewhere(recorded, row))];
        Assert.True(differences.Length == 0, $"{WallTable.Document} is not what was found:\n{string.Join('\n', differences)}");
    }

    /// <summary>What alone stops these depends on the host: its settings, and what its root may do.</summary>
    static readonly string[] s_differs =
        ["perf_event_open", "io_uring_setup", "allow core dumps", "dump core", "real-time priority"];

    static bool IsRefusedElsewhere(string[] recorded, string row) => recorded.Any(line => IsOfSameAttempt(line, row)
        && (line.Contains(WallTable.AlwaysRefused, StringComparison.Ordinal)
            || (s_differs.Contains(NameOf(row)) && line.Split(" | ")[1] == row.Split(" | ")[1])));

    static string NameOf(string row) => row.Split(" | ")[0].TrimStart('|', ' ');

    static bool IsOfSameAttempt(string line, string row) =>
        line.StartsWith("| ", StringComparison.Ordinal) && NameOf(line) == NameOf(row);
}
