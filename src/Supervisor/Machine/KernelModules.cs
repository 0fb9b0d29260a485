using System.IO.Enumeration;
using System.Text;
using Sandbox.Policy.Language;

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

    /// <summary>Whatever they are: a folder that a mistake names may hold a whole host.</summary>
    private const int MaximumEntries = 100_000;

    private const int MaximumDepth = 16;
    private const int MaximumListBytes = 4 << 20;

    /// <summary>
    /// Bytes of all that are loaded: they are held thrice while the initramfs is made, in the memory that a command may
    /// use. Debian's have 5 MiB.
    /// </summary>
    private const int MaximumLoadedBytes = 16 << 20;

    private readonly HashSet<string> _builtIn = new(StringComparer.Ordinal);

    private readonly Dictionary<string, string> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, byte[]> _loaded = new(StringComparer.Ordinal);
    private int _loadedBytes;

    /// <param name="folder">Such as /lib/modules/6.1.0-56-amd64.</param>
    /// <exception cref="UsageException">It has no modules, or too many, or cannot be read.</exception>
    public KernelModules(string folder)
    {
        if (!Directory.Exists(folder))
            throw new UsageException(
                $"--modules: there is no folder {Quote.Value(folder)}; name the folder that holds the kernel's modules");
        try
        {
            Find(folder);
            BuiltInList = ModuleFile.ReadPlain(Path.Combine(folder, BuiltInName), MaximumListBytes);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(
                $"--modules: {Quote.Value(folder)} cannot be read: {Quote.Printable(failure.Message)}");
        }

        using var list = new StreamReader(new MemoryStream(BuiltInList ?? []));
        while (list.ReadLine() is string line)
            if (line.EndsWith(".ko", StringComparison.Ordinal))
                _builtIn.Add(NameOf(line));
    }

    /// <summary>What the file says that tells what is built in; null when there is none.</summary>
    public byte[]? BuiltInList { get; }

    /// <summary>Links are not followed: one leads to the kernel's source.</summary>
    private void Find(string folder)
    {
        var options = new EnumerationOptions
        {
            RecurseSubdirectories = true, MaxRecursionDepth = MaximumDepth, IgnoreInaccessible = false,
            AttributesToSkip = 0,
        };
        // Null is an entry that is no module, and counts all the same.
        var entries = new FileSystemEnumerable<string?>(
            folder, static (ref FileSystemEntry entry) => IsModule(ref entry) ? entry.ToFullPath() : null, options)
            { ShouldRecursePredicate = static (ref FileSystemEntry entry) => !IsLink(ref entry) };
        int count = 0;
        foreach (string? file in entries)
        {
            if (count++ == MaximumEntries)
                throw new UsageException(
                    $"--modules: {Quote.Value(folder)} holds more than {MaximumEntries} files; is it the folder of one "
                        + "kernel's modules?");
            if (file is not null)
                _files.TryAdd(NameOf(file), file);
        }
    }

    private static bool IsModule(ref FileSystemEntry entry) =>
        entry.FileName.Contains(".ko", StringComparison.Ordinal) && !entry.IsDirectory && !IsLink(ref entry);

    private static bool IsLink(ref FileSystemEntry entry) => (entry.Attributes & FileAttributes.ReparsePoint) != 0;

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
        _loadedBytes += content.Length;
        if (_loadedBytes > MaximumLoadedBytes)
            throw new UsageException(
                $"--modules: the modules that a guest needs have more than {MaximumLoadedBytes >> 20} MiB together, the "
                    + $"last of them {Quote.Value(file)}; strip the modules: strip --strip-debug");
        _loaded.Add(name, content);
        foreach (string dependency in DependenciesOf(content))
            TryAdd(dependency.Replace('-', '_'), depth + 1);
        Loading.Add((name + ".ko", content));
        return true;
    }

    private static string NameOf(string file)
    {
        string name = Path.GetFileName(file);
        return name[..name.IndexOf(".ko", StringComparison.Ordinal)].Replace('-', '_');
    }

    /// <summary>.modinfo is a list of NUL-terminated texts; one of them is depends=A,B.</summary>
    internal static string[] DependenciesOf(ReadOnlySpan<byte> module)
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
