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
    static readonly (JailWalls Wall, string Name)[] s_walls =
    [
        (JailWalls.User, "user ns"), (JailWalls.Pid, "PID ns"), (JailWalls.Root, "root"), (JailWalls.Network, "network ns"),
        (JailWalls.Ipc, "IPC ns"), (JailWalls.Uts, "UTS ns"), (JailWalls.Cgroup, "cgroup ns"), (JailWalls.Time, "time ns"),
        (JailWalls.Capabilities, "capabilities"), (JailWalls.NoNewPrivileges, "no new privileges"),
        (JailWalls.Limits, "limits"), (JailWalls.Landlock, "Landlock"), (JailWalls.OwnUser, "own user"),
        (JailWalls.Seccomp, "seccomp"),
    ];

    /// <summary>Not offered by this host, or refused by what every VMM's start does, such as closing descriptors.</summary>
    public const string AlwaysRefused = "refused with no wall";

    readonly Dictionary<string, string> _whole, _none;
    readonly Dictionary<JailWalls, Dictionary<string, string>> _alone = [], _without = [];

    WallTable(Func<JailWalls, Dictionary<string, string>> attack)
    {
        _none = attack(JailWalls.None);
        _whole = attack(JailWalls.All);
        Parallel.ForEach(s_walls, new ParallelOptions { MaxDegreeOfParallelism = 2 }, wall =>
        {
            Dictionary<string, string> alone = attack(wall.Wall), without = attack(JailWalls.All & ~wall.Wall);
            lock (_alone)
            {
                _alone.Add(wall.Wall, alone);
                _without.Add(wall.Wall, without);
            }
        });
    }

    /// <summary>As root, whom nothing but the jail stops. Mounts that get through end with the mount namespace.</summary>
    public static WallTable Find() => new(walls => Attempts.Make(walls, ["/usr/bin/unshare", "-m"]));

    public IEnumerable<string> Names => _whole.Keys;

    /// <summary>Attempts that this host refuses whoever makes them: what the walls do to them is not seen here.</summary>
    public bool IsRefusedByHost(string attempt) => _none[attempt] != Attempts.Succeeded;

    public string Row(string attempt)
    {
        string whole =
            OpenToday.Reasons.TryGetValue(attempt, out string? reason) ? $"**succeeds**; {reason}" : _whole[attempt];
        bool open = _whole[attempt] == Attempts.Succeeded;
        return $"| {attempt} | {(open == reason is not null ? whole : _whole[attempt] + " (unexpected)")} "
            + $"| {(IsRefusedByHost(attempt) ? AlwaysRefused : Walls(_alone, attempt, succeeds: false))} "
            + $"| {(open ? "" : Walls(_without, attempt, succeeds: true))} |";
    }

    static string Walls(Dictionary<JailWalls, Dictionary<string, string>> runs, string attempt, bool succeeds) =>
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
            that this was written on, or refused by what every VMM's start does (its own keyring, sealed plans).
            Landlock and the filters are put on by the VMM before its guest's first instruction; the columns are about a
            VMM that did, and the filters are those of a guest's thread, which has the widest, without a writable folder.
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
