using Sandbox.Host;
using Sandbox.Supervisor.Jail.Cgroups;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Tests.Jail.Cgroups;

/// <summary>
/// Trees of control groups in memory, with the kernel's rules as far as they matter: control files come with a folder,
/// a group that gives controllers away holds no process, a folder with processes or folders in it is not removed.
/// </summary>
sealed class FakeCgroups : ICgroupFiles
{
    static readonly string[] s_two = ["memory.max", "memory.swap.max", "memory.oom.group", "memory.events", "memory.peak",
        "cpu.max", "cpu.weight", "pids.max", "pids.events", "io.max"];

    readonly Dictionary<string, long> _folders = [];
    readonly Dictionary<string, string> _files = [];
    readonly Dictionary<string, int> _refused = [];

    /// <summary>Version 2's roots, which may hold processes and give controllers away.</summary>
    readonly HashSet<string> _roots = [];

    /// <summary>What happened to folders, in order.</summary>
    public List<string> Log { get; } = [];

    /// <summary>What is to freeze does not.</summary>
    public bool IsStuck { get; set; }

    public HashSet<int> Alive { get; } = [Environment.ProcessId];

    public string this[string path]
    {
        get => _files[path];
        set => _files[path] = value;
    }

    public bool Has(string folder) => _folders.ContainsKey(folder);

    /// <summary>Answers this error number to whatever is done to the path.</summary>
    public void Refuse(string path, int errno) => _refused[path] = errno;

    public FakeCgroups One(string folder, params string[] files)
    {
        _folders[folder] = CGROUP_SUPER_MAGIC;
        foreach (string file in (string[])["tasks", "cgroup.procs", .. files])
            _files[$"{folder}/{file}"] = "";
        return this;
    }

    public FakeCgroups Two(string folder, string controllers, string given, string processes = "", bool root = false)
    {
        _folders[folder] = CGROUP2_SUPER_MAGIC;
        foreach ((string file, string text) in ((string, string)[])[("cgroup.controllers", controllers),
            ("cgroup.subtree_control", given), ("cgroup.procs", processes), ("cgroup.freeze", "0"), ("cgroup.events", "populated 0\nfrozen 0\n")])
            _files[$"{folder}/{file}"] = text;
        foreach (string file in s_two)
            if (controllers.Split(' ').Contains(file.Split('.')[0]))
                _files[$"{folder}/{file}"] = "";
        if (root)
            _roots.Add(folder);
        return this;
    }

    public FakeCgroups Memberships(string text)
    {
        _files["/proc/self/cgroup"] = text;
        _files["/proc/self/stat"] = Stat(77);
        return this;
    }

    public static string Stat(ulong startTime) =>
        "1 (a) b) S " + string.Join(' ', Enumerable.Repeat("0", 18)) + $" {startTime} 0 0\n";

    public string? Read(string path) =>
        _refused.ContainsKey(path) ? null : _files.GetValueOrDefault(path);

    public int Write(string path, string text)
    {
        if (_refused.TryGetValue(path, out int errno))
            return -errno;
        if (!_files.TryGetValue(path, out string? old))
            return -ENOENT;
        string folder = Path.GetDirectoryName(path)!;
        switch (Path.GetFileName(path))
        {
            case "cgroup.subtree_control":
                if (_files[$"{folder}/cgroup.procs"].Length > 0 && !_roots.Contains(folder))
                    return -EBUSY;
                string[] names = [.. text.Split(' ').Select(name => name[1..])];
                if (names.Any(name => !_files[$"{folder}/cgroup.controllers"].Split(' ').Contains(name)))
                    return -ENOENT;
                _files[path] = string.Join(' ', old.Split(' ', StringSplitOptions.RemoveEmptyEntries).Union(names));
                foreach (string below in Folders(folder))
                    foreach (string file in s_two.Where(file => names.Contains(file.Split('.')[0])))
                        _files.TryAdd($"{folder}/{below}/{file}", "");
                return 0;
            case "cgroup.procs" when text == "0":
                // Whoever writes is in one group.
                foreach (string other in _files.Keys.Where(file => file.EndsWith("/cgroup.procs", StringComparison.Ordinal)).ToArray())
                    _files[other] = _files[other].Replace($"{Environment.ProcessId}\n", "");
                _files[path] += $"{Environment.ProcessId}\n";
                return 0;
            case "cgroup.procs":
                text += "\n";
                break;
            case "freezer.state" or "cgroup.freeze":
                Log.Add($"freezer {text}");
                if (IsStuck)
                    return 0;
                _files[$"{folder}/cgroup.events"] = $"populated 1\nfrozen {text}\n";
                break;
        }

        _files[path] = text;
        return 0;
    }

    public int Open(string path, int flags, out FileDescriptor? file)
    {
        file = null;
        if (_refused.TryGetValue(path, out int errno))
            return -errno;
        return _files.ContainsKey(path) || Has(path) ? FileDescriptor.TryOpen("/dev/null", O_RDWR, 0, out file) : -ENOENT;
    }

    public int MakeFolder(string path)
    {
        string parent = Path.GetDirectoryName(path)!;
        if (_refused.TryGetValue(parent, out int errno))
            return -errno;
        if (!_folders.TryGetValue(parent, out long kind))
            return -ENOENT;
        if (Has(path))
            return -EEXIST;
        Log.Add($"mkdir {path}");
        if (kind == CGROUP2_SUPER_MAGIC)
            Two(path, _files[$"{parent}/cgroup.subtree_control"], "");
        else
            One(path, [.. _files.Keys.Where(file => Path.GetDirectoryName(file) == parent).Select(file => Path.GetFileName(file))]);
        return 0;
    }

    public int RemoveFolder(string path)
    {
        if (!Has(path))
            return -ENOENT;
        if (_files[$"{path}/cgroup.procs"].Length > 0 || _folders.Keys.Any(folder => Path.GetDirectoryName(folder) == path))
            return -EBUSY;
        Log.Add($"rmdir {path}");
        _folders.Remove(path);
        foreach (string file in _files.Keys.Where(file => Path.GetDirectoryName(file) == path).ToArray())
            _files.Remove(file);
        return 0;
    }

    public IEnumerable<string> Folders(string path) =>
        [.. _folders.Keys.Where(folder => Path.GetDirectoryName(folder) == path).Select(folder => Path.GetFileName(folder))];

    public long FileSystem(string path) => _folders.GetValueOrDefault(path);

    public bool IsProcess(int pid) => Alive.Contains(pid);

    public void Signal(int pid, string group, int signal)
    {
        Log.Add($"signal {signal} {pid}");
        if (signal != SIGKILL)
            return;
        foreach (string file in _files.Keys.Where(file => file.EndsWith($"/{group}/cgroup.procs", StringComparison.Ordinal)).ToArray())
            _files[file] = _files[file].Replace($"{pid}\n", "");
    }
}
