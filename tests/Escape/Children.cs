using System.Globalization;

namespace Sandbox.Escape;

/// <summary>Children of a process, asked for often: proc_pid_task_children(5).</summary>
static class Children
{
    /// <returns>The first child's number; null without one.</returns>
    public static int? First(int pid)
    {
        foreach (string thread in Threads(pid))
            try
            {
                string text = File.ReadAllText($"{thread}/children");
                if (text.Length > 0)
                    return int.Parse(text.Split(' ')[0], CultureInfo.InvariantCulture);
            }
            catch (IOException)
            {
                // The thread has ended.
            }

        return null;
    }

    static string[] Threads(int pid)
    {
        try
        {
            return Directory.GetDirectories($"/proc/{pid}/task");
        }
        catch (IOException)
        {
            return []; // it has ended
        }
    }
}
