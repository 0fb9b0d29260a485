using System.Globalization;
using static Sandbox.Host.Libc;

namespace Sandbox.EndToEnd.Harness;

/// <summary>One row of the host's process table: proc(5), /proc/PID/stat.</summary>
readonly record struct ProcessRow(int Pid, string Name, char State, int Parent, int Group, int Session)
{
    public override string ToString() => $"{Name} (pid {Pid}, state {State}, parent {Parent})";
}

/// <summary>The host's processes, as far as tests look at them.</summary>
static class ProcessTable
{
    public static IEnumerable<ProcessRow> All()
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
            if (int.TryParse(Path.GetFileName(folder), out int pid) && Row(pid) is ProcessRow row)
                yield return row;
    }

    public static ProcessRow? Row(int pid)
    {
        string text;
        try
        {
            text = File.ReadAllText($"/proc/{pid}/stat");
        }
        catch (IOException)
        {
            return null; // it ended in the meantime
        }

        int open = text.IndexOf('('), close = text.LastIndexOf(')');
        if (open < 0 || close < open)
            return null;
        string[] rest = text[(close + 2)..].Split(' ');
        return new ProcessRow(pid, text[(open + 1)..close], rest[0][0], Number(rest[1]), Number(rest[2]), Number(rest[3]));
    }

    /// <summary>The child and everything below it that is alive.</summary>
    public static IReadOnlyList<ProcessRow> Tree(int pid)
    {
        ProcessRow[] all = [.. All()];
        var found = new List<ProcessRow>();
        var queue = new Queue<int>([pid]);
        while (queue.TryDequeue(out int parent))
            foreach (ProcessRow row in all)
                if (row.Parent == parent)
                {
                    found.Add(row);
                    queue.Enqueue(row.Pid);
                }

        return found;
    }

    /// <summary>Kilobytes of a field of /proc/PID/status such as VmHWM or RssAnon; -1 when the process is gone.</summary>
    public static long StatusKilobytes(int pid, string field)
    {
        try
        {
            foreach (string line in File.ReadLines($"/proc/{pid}/status"))
                if (line.StartsWith(field + ":", StringComparison.Ordinal))
                    return long.Parse(line[(field.Length + 1)..].Replace("kB", "").Trim(), CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
        }

        return -1;
    }

    /// <summary>
    /// What a sandbox left behind: its group's or session's members, and its orphans, which became children of this
    /// process. A moment is allowed for what is already on its way out.
    /// </summary>
    public static IReadOnlyList<ProcessRow> LeftBehind(int pid, TimeSpan patience)
    {
        int self = getpid();
        DateTime end = DateTime.UtcNow + patience;
        while (true)
        {
            ProcessRow[] left = [.. All().Where(row => row.State is not ('Z' or 'X') && row.Pid != pid
                && (row.Group == pid || row.Session == pid
                    || (row.Parent == self && row.Name.StartsWith("sandbox", StringComparison.Ordinal)
                        && !ChildProcess.IsRunning(row.Pid))))];
            if (left.Length == 0 || DateTime.UtcNow > end)
                return left;
            Thread.Sleep(5);
        }
    }

    static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
