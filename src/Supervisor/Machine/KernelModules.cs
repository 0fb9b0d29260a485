using System.Text;

namespace Sandbox.Supervisor.Machine;

/// <summary>Where a kernel has what a module does.</summary>
enum ModuleState
{
    Missing,
    Module,
    BuiltIn,
}

/// <summary>
/// The modules of one kernel: files NAME.ko, or NAME.ko.xz, anywhere in a folder. What a module depends on it says
/// itself, in its section .modinfo; the kernel checks the rest when it loads it.
/// </summary>
sealed class KernelModules
{
    /// <summary>
    /// The list of what could be a module and is part of the kernel: Documentation/kbuild/kbuild.rst.
    /// </summary>
    public const string BuiltInName = "modules.builtin";

    private const int MaximumFiles = 20_000;
    private const int MaximumDepth = 16;
    private const int MaximumListBytes = 4 << 20;

    /// <summary>Links are not followed: one leads to the kernel's source.</summary>
    private static readonly EnumerationOptions s_enumeration = new()
    {
        RecurseSubdirectories = true, MaxRecursionDepth = MaximumDepth, IgnoreInaccessible = false,
        AttributesToSkip = FileAttributes.ReparsePoint,
    };

    private readonly HashSet<string> _builtIn = new(StringComparer.Ordinal);

    private readonly Dictionary<string, string> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, byte[]> _loaded = new(StringComparer.Ordinal);

    /// <param name="folder">Such as /lib/modules/6.1.0-56-amd64.</param>
    /// <exception cref="UsageException">It has no modules, or too many.</exception>
    public KernelModules(string folder)
    {
        if (!Directory.Exists(folder))
            throw new UsageException(
                $"--modules: there is no folder {folder}; name the folder that holds the kernel's modules");
        foreach (string file in Directory.EnumerateFiles(folder, "*.ko*", s_enumeration))
        {
            if (_files.Count == MaximumFiles)
                throw new UsageException($"--modules: {folder} holds more than {MaximumFiles} modules");
            _files.TryAdd(NameOf(file), file);
        }

        if (BuiltInListOf(folder) is not string list)
            return;
        BuiltInList = list;
        foreach (string line in File.ReadLines(list))
            if (line.EndsWith(".ko", StringComparison.Ordinal))
                _builtIn.Add(NameOf(line));
    }

    /// <summary>The file that says what is built in; null when there is none.</summary>
    public string? BuiltInList { get; }

    /// <summary>Where the kernel has what a module does.</summary>
    public ModuleState StateOf(string name)
    {
        name = name.Replace('-', '_');
        return _files.ContainsKey(name)
            ? ModuleState.Module
            : _builtIn.Contains(name) ? ModuleState.BuiltIn : ModuleState.Missing;
    }

    /// <summary>What is to be loaded, each behind what it depends on.</summary>
    public List<(string Name, byte[] Content)> Loading { get; } = [];

    /// <summary>
    /// Adds a module and what it depends on. What the kernel does not have as a module is built in, or missing.
    /// </summary>
    /// <returns>False when there is no such module.</returns>
    /// <exception cref="UsageException">It cannot be read.</exception>
    public bool TryAdd(string name) => TryAdd(name.Replace('-', '_'), 0);

    private bool TryAdd(string name, int depth)
    {
        if (_loaded.ContainsKey(name))
            return true;
        if (!_files.TryGetValue(name, out string? file) || depth > MaximumDepth)
            return false;
        byte[] content = ModuleFile.Read(file);
        _loaded.Add(name, content);
        foreach (string dependency in DependenciesOf(content))
            TryAdd(dependency.Replace('-', '_'), depth + 1);
        Loading.Add((name + ".ko", content));
        return true;
    }

    private static string? BuiltInListOf(string folder)
    {
        var list = new FileInfo(Path.Combine(folder, BuiltInName));
        if (!list.Exists)
            return null;
        return list.Length <= MaximumListBytes
            ? list.FullName
            : throw new UsageException($"--modules: {list.FullName} has more than {MaximumListBytes >> 20} MiB");
    }

    private static string NameOf(string file)
    {
        string name = Path.GetFileName(file);
        return name[..name.IndexOf(".ko", StringComparison.Ordinal)].Replace('-', '_');
    }

    /// <summary>.modinfo is a list of NUL-terminated texts; one of them is depends=A,B.</summary>
    private static string[] DependenciesOf(ReadOnlySpan<byte> module)
    {
        int start = module.IndexOf("\0depends="u8);
        if (start < 0)
            return [];
        module = module[(start + "\0depends="u8.Length)..];
        int end = module.IndexOf((byte)0);
        return end <= 0
            ? []
            : Encoding.ASCII.GetString(module[..end]).Split(',', StringSplitOptions.RemoveEmptyEntries);
    }
}
