namespace Sandbox.EndToEnd.Harness;

/// <summary>The host's control groups, as far as tests look at them.</summary>
static class ControlGroups
{
    const string Root = "/sys/fs/cgroup";

    static readonly EnumerationOptions s_all = new() { RecurseSubdirectories = true, IgnoreInaccessible = true };

    /// <summary>Folders of the groups that a supervisor has made.</summary>
    public static string[] MadeBy(int supervisor) => Named($"sandbox-{supervisor}-*");

    /// <summary>Folders of the groups whose supervisors have ended.</summary>
    public static string[] Abandoned() =>
        [.. Named("sandbox-*").Where(folder => !Directory.Exists($"/proc/{Path.GetFileName(folder).Split('-')[1]}"))];

    static string[] Named(string pattern) =>
        Directory.Exists(Root) ? Directory.GetDirectories(Root, pattern, s_all) : [];
}
