using System.Text;

namespace Sandbox.Supervisor.Machine;

/// <summary>
/// The modules of one kernel: files NAME.ko anywhere in a folder. What a module depends on it says itself, in its
/// section .modinfo; the kernel checks the rest when it loads it.
/// </summary>
sealed class KernelModules
{
    private const int MaximumFiles = 20_000;
    private const long MaximumBytes = 64 << 20;
    private const int MaximumDepth = 16;

    private readonly Dictionary<string, string> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, byte[]> _loaded = new(StringComparer.Ordinal);

    /// <param name="folder">Such as /lib/modules/6.1.0-56-amd64.</param>
    /// <exception cref="UsageException">It has no modules, or too many.</exception>
    public KernelModules(string folder)
    {
        if (!Directory.Exists(folder))
            throw new UsageException($"--modules: there is no folder {folder}; name the folder that holds the kernel's modules");
        foreach (string file in Directory.EnumerateFiles(folder, "*.ko*", SearchOption.AllDirectories))
        {
            if (_files.Count == MaximumFiles)
                throw new UsageException($"--modules: {folder} holds more than {MaximumFiles} modules");
            _files.TryAdd(NameOf(file), file);
        }
    }

    /// <summary>What is to be loaded, each behind what it depends on.</summary>
    public List<(string Name, byte[] Content)> Loading { get; } = [];

    /// <summary>Adds a module and what it depends on. What the kernel does not have as a module is built in, or missing.</summary>
    /// <returns>False when there is no such module.</returns>
    /// <exception cref="UsageException">It cannot be read.</exception>
    public bool TryAdd(string name) => TryAdd(name.Replace('-', '_'), 0);

    private bool TryAdd(string name, int depth)
    {
        if (_loaded.ContainsKey(name))
            return true;
        if (!_files.TryGetValue(name, out string? file) || depth > MaximumDepth)
            return false;
        byte[] content = Read(file);
        _loaded.Add(name, content);
        foreach (string dependency in DependenciesOf(content))
            TryAdd(dependency.Replace('-', '_'), depth + 1);
        Loading.Add((name + ".ko", content));
        return true;
    }

    private static byte[] Read(string file)
    {
        if (!file.EndsWith(".ko", StringComparison.Ordinal))
            throw new UsageException($"--modules: {file} is compressed; unpack the modules first");
        try
        {
            return new FileInfo(file).Length <= MaximumBytes ? File.ReadAllBytes(file) : throw new IOException("it is too large");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--modules: {file} cannot be read: {failure.Message}");
        }
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
        return end <= 0 ? [] : Encoding.ASCII.GetString(module[..end]).Split(',', StringSplitOptions.RemoveEmptyEntries);
    }
}
