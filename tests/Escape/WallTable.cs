using System.Text;
using Sandbox.Supervisor.Jail;

namespace Sandbox.Escape;

/// <summary>
/// What stops each attempt, found by making all of them in the whole jail, behind each wall alone, and without each.
/// </summary>
sealed class WallTable
{
    public const string Document = "docs/jail.md";

    /// <summary>In the columns' words.</summary>
    static readonly (Standing Wall, string Name)[] s_walls =
    [
        (JailWalls.User, "user ns"), (JailWalls.Pid, "PID ns"), (JailWalls.Root, "root"), (JailWalls.Network, "network ns"),
        (JailWalls.Ipc, "IPC ns"), (JailWalls.Uts, "UTS ns"), (JailWalls.Cgroup, "cgroup ns"), (JailWalls.Time, "time ns"),
        (JailWalls.Capabilities, "capabilities"), (JailWalls.NoNewPrivileges, "no new privileges"),
        (JailWalls.Limits, "limits"), (JailWalls.Landlock, "Landlock"), (JailWalls.OwnUser, "own user"),
        (JailWalls.CgroupLimits, "control group"), (new(JailWalls.None, true), "memory deny-write-execute"),
        (JailWalls.Seccomp, "seccomp"),
    ];

    /// <summary>What stands in one run.</summary>
    /// <param name="DeniesWriteExecute">Which a VMM does by itself.</param>
    public readonly record struct Standing(JailWalls Walls, bool DeniesWriteExecute)
    {
        public static readonly Standing None = new(JailWalls.None, false), All = new(JailWalls.All, true);

        public static implicit operator Standing(JailWalls walls) => new(walls, false);

        public Standing Without(Standing other) =>
            new(Walls & ~other.Walls, DeniesWriteExecute && !other.DeniesWriteExecute);
    }

    /// <summary>Not offered by this host, or refused by what every VMM's start does, such as closing descriptors.</summary>
    public const string AlwaysRefused = "refused with no wall";

    /// <summary>Of those: what refuses them, where it is not the host that has no such thing.</summary>
    static readonly Dictionary<string, string> s_always = new()
    {
        ["read a key of the caller's session"] = "every VMM's start joins a keyring of its own",
        ["granted: change the plan"] = "the plan is sealed",
        ["raise its limit of descriptors"] = "this host's root is without CAP_SYS_RESOURCE",
        ["ioctl on stray descriptors"] = "every VMM's start closes all that is not granted",
    };

    readonly Dictionary<string, string> _whole, _none;
    readonly Dictionary<Standing, Dictionary<string, string>> _alone = [], _without = [];

    WallTable(Func<Standing, Dictionary<string, string>> attack)
    {
        _none = attack(Standing.None);
        _whole = attack(Standing.All);
        Parallel.ForEach(s_walls, new ParallelOptions { MaxDegreeOfParallelism = 2 }, wall =>
        {
            Dictionary<string, string> alone = attack(wall.Wall), without = attack(Standing.All.Without(wall.Wall));
            lock (_alone)
            {
                _alone.Add(wall.Wall, alone);
                _without.Add(wall.Wall, without);
            }
        });
    }

    /// <summary>As root, whom nothing but the jail stops. Mounts that get through end with the mount namespace.</summary>
    public static WallTable Find() => new(standing => Attempts.Make(
        standing.Walls, ["/usr/bin/unshare", "-m"], deniesWriteExecute: standing.DeniesWriteExecute));

    public IEnumerable<string> Names => _whole.Keys;

    /// <summary>Attempts that this host refuses whoever makes them: what the walls do to them is not seen here.</summary>
    public bool IsRefusedByHost(string attempt) => _none[attempt] != Attempts.Succeeded;

    public string Row(string attempt)
    {
        string whole =
            OpenToday.Reasons.TryGetValue(attempt, out string? reason) ? $"**succeeds**; {reason}" : _whole[attempt];
        bool open = _whole[attempt] == Attempts.Succeeded;
        return $"| {attempt} | {(open == reason is not null ? whole : _whole[attempt] + " (unexpected)")} "
            + $"| {(IsRefusedByHost(attempt) ? Always(attempt) : Walls(_alone, attempt, succeeds: false))} "
            + $"| {(open ? "" : Walls(_without, attempt, succeeds: true))} |";
    }

    /// <summary>
    /// What refuses it without any wall, and which walls do before that: theirs is another answer than the host's.
    /// </summary>
    string Always(string attempt)
    {
        string host = _none[attempt];
        string[] walls = [.. s_walls.Where(wall => _alone[wall.Wall][attempt] != host).Select(wall => wall.Name)];
        string why = s_always.GetValueOrDefault(attempt) ?? $"this host answers {host["refused ".Length..]}";
        return $"{AlwaysRefused}: {why}{(walls.Length > 0 ? $"; before it {string.Join(", ", walls)}" : "")}";
    }

    static string Walls(Dictionary<Standing, Dictionary<string, string>> runs, string attempt, bool succeeds) =>
        string.Join(", ", s_walls
            .Where(wall => runs[wall.Wall][attempt] == Attempts.Succeeded == succeeds).Select(wall => wall.Name));

    public string Write()
    {
        var text = new StringBuilder("""
            # The jail, wall by wall

            Written by `SANDBOX_WRITE_JAIL_TABLE=1 ./test --ring escape --filter The_table`, as root; a test compares it
            with what it finds. `tests/Escape/hostile` is a program that is started in place of the VMM and attacks from
            its first instruction. Its attempts are made in the whole jail, behind each wall alone, and in the jail
            without each wall:

            - **whole jail**: how the attempt ends today. SIGSYS is the filters' way of refusing.
            - **stopped alone by**: walls each of which refuses the attempt when no other stands. None here and refused
              in the whole jail: it takes several.
            - **succeeds without**: the jail has no second wall against it.

            With no wall at all nearly every attempt succeeds: what is *refused with no wall* is not offered by the host
            that this was written on (ENOSYS, ENOENT and the like), or refused by what every VMM's start does. Which walls
            refuse it *before* that is seen by their answer, which is another one.
            Landlock, the filters and memory deny-write-execute are put on by the VMM before its guest's first instruction;
            the columns are about a VMM that did, and the filters are those of a guest's thread, which has the widest,
            without a writable folder.
            Two walls are in no row. Rates of disks stand only where a policy gives some; `DiskRateTests` has a guest run
            into them. A time namespace begins with the host's clocks, whose offsets nobody without a capability can set:
            what another wall would stop already.
            For an ordinary user's VMM the whole jail gives the same answers, but for what "own user" alone stops, which
            he cannot have. What a VMM does on its channel, and that nothing of it is left behind, is in
            `tests/Escape/ChannelTests.cs`.

            | attempt | whole jail | stopped alone by | succeeds without |
            |---|---|---|---|

            """);
        foreach (string name in Names)
            text.Append(Row(name)).Append('\n');
        return text.ToString();
    }
}
