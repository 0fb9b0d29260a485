namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>The kinds of namespaces: namespaces(7).</summary>
static class Namespaces
{
    /// <summary>In /proc/PID/ns.</summary>
    public static string[] Names { get; } = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"];

    /// <summary>The wall that each makes, in the same order.</summary>
    public static JailWalls[] Walls { get; } =
    [
        JailWalls.User, JailWalls.Pid, JailWalls.Root, JailWalls.Network, JailWalls.Ipc, JailWalls.Uts,
        JailWalls.Cgroup, JailWalls.Time,
    ];

    /// <summary>Those of a process or thread, by its folder.</summary>
    public static Reading<string>[] Of(IProcessFiles files, string prefix) =>
        [.. Names.Select(name => files.Link($"{prefix}ns/{name}").As(static link => IsIdentity(link) ? link : null))];

    /// <summary>Those of a process, empty where one cannot be read.</summary>
    public static string[] Known(IProcessFiles files) =>
        [.. Of(files, "").Select(link => link.Is(out string? known) ? known : "")];

    /// <summary>Such as "net:[4026531840]".</summary>
    public static bool IsIdentity(string link)
    {
        int open = link.IndexOf(":[", StringComparison.Ordinal);
        return open > 0 && link.Length < 64 && link.EndsWith(']')
            && !link.AsSpan(0, open).ContainsAnyExceptInRange('a', 'z')
            && link.AsSpan(open + 2, link.Length - open - 3) is { Length: > 0 } number
            && !number.ContainsAnyExceptInRange('0', '9');
    }
}
