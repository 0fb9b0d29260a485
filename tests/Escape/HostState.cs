using Sandbox.Supervisor.LifeCycle;
using static Sandbox.Host.Libc;

namespace Sandbox.Escape;

/// <summary>
/// What a sandbox could leave on the host besides files, processes and control groups: mounts, interfaces, sockets with
/// a name, and namespaces. What there is more than before has to go.
/// </summary>
sealed class HostState
{
    readonly HashSet<string> _before = [.. Seen()];

    /// <summary>Of tests beside this one, some are about to end.</summary>
    public void AssertNothingMore()
    {
        string[] more = [];
        Assert.True(SpinWait.SpinUntil(() => (more = [.. Seen().Where(one => !_before.Contains(one))]).Length == 0, 60_000),
            $"left on the host:\n{string.Join('\n', more)}");
    }

    static IEnumerable<string> Seen() => Mounts().Concat(Interfaces()).Concat(Sockets()).Concat(Namespaces());

    static IEnumerable<string> Mounts() => File.ReadLines("/proc/self/mountinfo").Select(line => $"mount {line}");

    static IEnumerable<string> Interfaces() => File.ReadLines("/proc/net/dev").Where(line => line.Contains(':', StringComparison.Ordinal))
        .Select(line => $"interface {line.Split(':')[0].Trim()}");

    /// <summary>Those at which supervisors take orders, by inode.</summary>
    static IEnumerable<string> Sockets() => File.ReadLines("/proc/net/unix").Skip(1)
        .Select(line => line.Split(' ', 8, StringSplitOptions.RemoveEmptyEntries)).Where(fields => fields.Length == 8)
        .Where(fields => fields[7].EndsWith($"/{StateFolder.ControlName}", StringComparison.Ordinal))
        .Select(fields => $"socket {fields[6]} {fields[7]}");

    /// <summary>
    /// Namespaces of processes, and those that descriptors hold, of this process and all that it has started; but what a
    /// living supervisor, or another test's command, has below it is not left.
    /// </summary>
    static IEnumerable<string> Namespaces()
    {
        Dictionary<int, ProcessRow> rows = ProcessTable.All().ToDictionary(row => row.Pid);
        foreach (ProcessRow row in rows.Values)
            if (row.State is not ('Z' or 'X') && (row.Pid == getpid() || IsOrphan(rows, row)))
                foreach (string link in Links($"/proc/{row.Pid}/ns").Concat(Links($"/proc/{row.Pid}/fd").Where(IsNamespace)))
                    yield return $"namespace {link} of {row.Name} {(row.Pid == getpid() ? "" : $"{row.Pid}")}";
    }

    /// <summary>Whether whoever it is below, down from this process, is no command but a VMM.</summary>
    static bool IsOrphan(Dictionary<int, ProcessRow> rows, ProcessRow row)
    {
        while (rows.TryGetValue(row.Parent, out ProcessRow parent) && parent.Pid != getpid())
            row = parent;
        return row.Parent == getpid() && row.Name == "sandbox-vmm" && !ChildProcess.IsRunning(row.Pid);
    }

    static bool IsNamespace(string link) => link.EndsWith(']') && !link.StartsWith("socket:", StringComparison.Ordinal)
        && !link.StartsWith("pipe:", StringComparison.Ordinal) && !link.StartsWith("anon_inode:", StringComparison.Ordinal);

    static IEnumerable<string> Links(string folder)
    {
        FileInfo[] files;
        try
        {
            files = new DirectoryInfo(folder).GetFiles();
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            yield break;
        }

        foreach (FileInfo file in files)
        {
            string? target;
            try
            {
                target = file.LinkTarget;
            }
            catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
            {
                continue;
            }

            if (target is not null)
                yield return target;
        }
    }
}
