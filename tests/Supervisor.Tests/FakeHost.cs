using Sandbox.Policy.Language;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Planning;

namespace Sandbox.Supervisor.Tests;

/// <summary>A Debian host as planning sees it, without looking at the real one.</summary>
sealed class FakeHost : IHostTree
{
    public static PolicyModel DefaultPolicy { get; } = PolicyOpener.Load(null);

    readonly Dictionary<string, HostEntry> _entries = new()
    {
        ["/usr"] = new(HostEntryKind.Directory),
        ["/bin"] = new(HostEntryKind.Symlink, "usr/bin"),
        ["/sbin"] = new(HostEntryKind.Symlink, "usr/sbin"),
        ["/lib"] = new(HostEntryKind.Symlink, "usr/lib"),
        ["/lib64"] = new(HostEntryKind.Symlink, "usr/lib64"),
        ["/etc/alternatives"] = new(HostEntryKind.Directory),
        ["/etc/ld.so.cache"] = new(HostEntryKind.File),
        ["/etc/localtime"] = new(HostEntryKind.Symlink, "/usr/share/zoneinfo/Etc/UTC"),
        ["/etc/ssl/certs"] = new(HostEntryKind.Directory),
        ["/etc/ssl/private"] = new(HostEntryKind.Directory),
        ["/etc/passwd"] = new(HostEntryKind.File),
        ["/etc/shadow"] = new(HostEntryKind.File),
    };

    public HostEntry this[string path]
    {
        set => _entries[path] = value;
    }

    public HostFacts Facts => new()
    {
        Cpus = 2,
        Memory = 4UL << 30,
        WorkingDirectory = WorkingDirectory,
        TerminalType = "xterm-256color",
        Rows = 24,
        Columns = 80,
        Tree = this,
    };

    public string? WorkingDirectory { get; init; } = "/work/project/deep";

    public void Remove(string path) => _entries.Remove(path);

    public HostEntry Look(string path) => _entries.GetValueOrDefault(path);

    public HostEntry Follow(string path)
    {
        HostEntry entry = Look(path);
        return entry.Kind == HostEntryKind.Symlink
            ? Follow(Path.GetFullPath(entry.Target!, Path.GetDirectoryName(path)!))
            : entry;
    }
}
