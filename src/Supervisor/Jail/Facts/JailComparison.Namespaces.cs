using Sandbox.Policy.Language;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

sealed partial class JailComparison
{
    void CompareNamespaces()
    {
        for (int i = 0; i < Namespaces.Names.Length; i++)
        {
            int kind = i;
            string host = _expected.HostNamespaces[kind];
            JailWalls wall = Namespaces.Walls[kind];
            Add(wall, wall == JailWalls.Root ? "mount namespace" : WallNames.Of(wall),
                $"another one than the supervisor's {host}",
                host.Length == 0 ? Finding.CannotBeRead(ENODATA) : Namespace(kind, host));
            if (wall == JailWalls.User)
                Add(wall, "its users", "the caller, or everybody under their own numbers", Maps());
            else if (wall == JailWalls.Pid)
                Add(wall, "its process number", "1, in a namespace below the supervisor's", OnEveryThread(
                    static (_, status) => status.Depth > 1 ? null : "no number of its own",
                    static status => $"{status.Depth} levels"));
            else if (wall == JailWalls.Network)
                Add(wall, "network interfaces", "none but a loopback of its own", Interfaces());
        }
    }

    Finding Namespace(int kind, string host)
    {
        if (!_facts.Threads.Is(out ThreadFacts[]? threads))
            return TooMany(_facts.Threads.Errno, "threads");
        int unread = threads.Length == 0 ? ESRCH : 0;
        string? first = null;
        List<string> others = [];
        foreach (ThreadFacts thread in threads)
        {
            if (!thread.Namespaces[kind].Is(out string? link))
                unread = thread.Namespaces[kind].Errno;
            else if (link == host)
                return Finding.Missing($"the supervisor's {link} on {Who(thread)}");
            else if (first is null)
                first = link;
            else if (link != first)
                others.Add($"{link} on {Who(thread)}");
        }

        if (others.Count > 0)
            return Finding.Weaker($"{first}, but {Finding.Some(others)}");
        return unread != 0 ? Finding.CannotBeRead(unread) : Finding.Holds(first!);
    }

    Finding Maps()
    {
        if (!_facts.UserMap.Is(out string? users))
            return Finding.CannotBeRead(_facts.UserMap.Errno);
        if (!_facts.GroupMap.Is(out string? groups))
            return Finding.CannotBeRead(_facts.GroupMap.Errno);
        string found = $"users {Quote.Value(users)}, groups {Quote.Value(groups)}";
        return Finding.HoldsIf(IsPlain(users) && IsPlain(groups), found);

        // Who is somebody else outside than inside may be more there than he seems.
        static bool IsPlain(string map) =>
            map == "0 0 4294967295" || map.Split(' ') is [var inside, var outside, "1"] && inside == outside;
    }

    Finding Interfaces()
    {
        if (!_facts.Interfaces.Is(out string[]? names))
            return Finding.CannotBeRead(_facts.Interfaces.Errno);
        return names is [] or ["lo"]
            ? Finding.Holds(names is [] ? "none" : "lo")
            : Finding.Missing(Finding.Some([.. names.Select(Quote.Value)]));
    }
}
