using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Images;
using Sandbox.Supervisor.Launch;
using Sandbox.Supervisor.Machine;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Kernels;

/// <summary>
/// Kernels that are kept, each in a folder of its name, which looks as an unpacked package does: boot/vmlinuz-VERSION
/// and lib/modules/VERSION. A folder is made under another name, and gets its own when it is whole; who makes or removes
/// one holds a lock, so that what has such a name without one is left of somebody who was interrupted.
/// </summary>
sealed class KernelStore(string folder)
{
    /// <summary>Bytes of a kernel: with all that is for debuggers one has less.</summary>
    public const long MaximumBytes = 1L << 30;

    const int MaximumName = 128;
    const string UnfinishedEnd = ".new";
    const string KernelPattern = "vmlinuz-*";

    /// <summary>The caller's own.</summary>
    public static KernelStore Own => new(CachePlace.Of("kernels"));

    /// <summary>The caller's own; null where there is no place for one.</summary>
    public static KernelStore? OwnIfAny => CachePlace.Find("kernels") is string place ? new(place) : null;

    /// <summary>Names, in order.</summary>
    /// <exception cref="UsageException">The folder cannot be read.</exception>
    public IReadOnlyList<string> Names => [.. FoldersIn(folder, "*").Where(IsName)];

    /// <summary>What --kernel names: a file, or else a kernel that is kept.</summary>
    public static string PathOf(string kernel) =>
        kernel.Contains('/', StringComparison.Ordinal) || File.Exists(kernel) || !IsName(kernel)
            ? kernel
            : Own.FileOf(kernel) ?? kernel;

    /// <summary>The kernel's file; null when there is no such kernel.</summary>
    public string? FileOf(string name) => IsName(name) ? KernelIn(Path.Combine(folder, name)) : null;

    /// <summary>The only kernel of an unpacked package; null when it has none, or several.</summary>
    /// <exception cref="UsageException">Its folder cannot be read.</exception>
    public static string? KernelIn(string package) =>
        FilesIn(Path.Combine(package, "boot")) is [string one] ? one : null;

    /// <summary>What may be kernels in a folder such as /boot, in order; none where there is no such folder.</summary>
    /// <exception cref="UsageException">The folder cannot be read.</exception>
    public static string[] FilesIn(string boot) =>
        [.. InOrder(boot, () => Directory.GetFiles(boot, KernelPattern)).Select(name => Path.Combine(boot, name))];

    /// <summary>Copies a kernel, and the modules that guests need.</summary>
    /// <param name="source">A kernel's file, or the folder of an unpacked package.</param>
    /// <param name="name">Null for the kernel's version.</param>
    /// <returns>The name.</returns>
    /// <exception cref="UsageException">It is no kernel that a guest can start from, or the name is taken.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public string Add(string source, string? name)
    {
        string kernel = !Directory.Exists(source) ? source : KernelIn(source)
            ?? throw new UsageException(
                $"kernel add: {Quote.Value(source)} does not hold exactly one boot/vmlinuz-VERSION; name the kernel's "
                    + "file");
        using FileDescriptor file = OpenKernel("kernel add", kernel);
        KernelFile found = KernelFile.Examine(file);
        if (found.Problem is string problem)
            throw new UsageException($"kernel add: {Quote.Value(kernel)}: {problem}");
        string version = found.Version
            ?? throw new UsageException(
                $"kernel add: {Quote.Value(kernel)} does not say which version it is, which names the folder of its "
                    + "modules");
        name ??= version;
        if (!IsName(name))
            throw new UsageException(
                $"kernel add: {Quote.Value(name)} cannot be a name; take letters, digits and . _ + - with --name");
        using FileDescriptor place = CachePlace.Make(folder);
        using FileDescriptor held = CachePlace.Lock(place, folder);
        RemoveAllUnfinished();
        string made = Path.Combine(folder, name), unfinished = made + UnfinishedEnd;
        if (Directory.Exists(made))
            throw new UsageException(
                $"kernel add: there is a kernel {Quote.Value(name)} already; sandbox kernel remove {name} forgets it");
        try
        {
            CopyTo(unfinished, file, version, ModulesFolder.Of(version, kernel));
            Directory.Move(unfinished, made);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(
                $"kernel add: {Quote.Value(made)} cannot be written: {Quote.Printable(failure.Message)}");
        }
        finally
        {
            RemoveAllUnfinished();
        }

        return name;
    }

    /// <exception cref="UsageException">There is no such kernel, or it cannot be removed.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public void Remove(string name)
    {
        string kernel = Path.Combine(folder, name);
        if (!IsName(name) || !Directory.Exists(kernel))
            throw new UsageException($"kernel remove: there is no kernel {Quote.Value(name)}; see sandbox kernel list");
        using FileDescriptor place = CachePlace.Make(folder);
        using FileDescriptor held = CachePlace.Lock(place, folder);
        RemoveAllUnfinished();
        try
        {
            // Whoever looks for it finds all of it, or nothing.
            Directory.Move(kernel, kernel + UnfinishedEnd);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(
                $"kernel remove: {Quote.Value(kernel)} cannot be removed: {Quote.Printable(failure.Message)}");
        }

        RemoveAllUnfinished();
    }

    /// <summary>
    /// Removes what somebody who was killed while adding or removing has left; nothing while somebody does either, who
    /// does that himself.
    /// </summary>
    /// <exception cref="UsageException">It cannot be removed.</exception>
    /// <exception cref="HostException">The host refused.</exception>
    public void RemoveUnfinished()
    {
        // As a rule there is nothing: who only looks needs no folder that can be written to.
        if (FoldersIn(folder, "*" + UnfinishedEnd).Length == 0)
            return;
        using FileDescriptor place = CachePlace.Make(folder);
        using FileDescriptor? held = CachePlace.TryLock(place, folder);
        if (held is not null)
            RemoveAllUnfinished();
    }

    void RemoveAllUnfinished()
    {
        foreach (string name in FoldersIn(folder, "*" + UnfinishedEnd))
        {
            try
            {
                Directory.Delete(Path.Combine(folder, name), recursive: true);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                throw new UsageException(
                    $"{Quote.Value(Path.Combine(folder, name))} cannot be removed: {Quote.Printable(failure.Message)}");
            }
        }
    }

    static string[] FoldersIn(string folder, string pattern) =>
        InOrder(folder, () => Directory.GetDirectories(folder, pattern));

    /// <summary>Names of what is listed; none where there is no such folder.</summary>
    static string[] InOrder(string folder, Func<string[]> list)
    {
        try
        {
            return Directory.Exists(folder)
                ? [.. list().Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)] : [];
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{Quote.Value(folder)} cannot be read: {Quote.Printable(failure.Message)}");
        }
    }

    /// <summary>Opens what may be a kernel.</summary>
    /// <param name="who">Begins the message.</param>
    /// <exception cref="UsageException">It cannot be read, or is no file.</exception>
    public static FileDescriptor OpenKernel(string who, string path)
    {
        // A pipe would make opening wait.
        int error = FileDescriptor.TryOpen(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, out FileDescriptor? file);
        if (error != 0)
            throw new UsageException($"{who}: {Quote.Value(path)} cannot be read: {CallerFile.Why(error)}");
        if (file!.GetStatus(out stat status) == 0 && S_ISREG(status.st_mode))
            return file;
        file.Dispose();
        throw new UsageException($"{who}: {Quote.Value(path)} is not a file");
    }

    static void CopyTo(string package, FileDescriptor kernel, string version, string modules)
    {
        string boot = Path.Combine(package, "boot"), kept = Path.Combine(package, "lib/modules", version);
        Directory.CreateDirectory(boot);
        Directory.CreateDirectory(kept);
        using (FileStream to = File.Create(Path.Combine(boot, $"vmlinuz-{version}")))
        {
            byte[] buffer = new byte[1 << 20];
            for (long at = 0; Audit.PrivateFile.ReadAt(kernel, buffer, at, "kernel") is > 0 and int count; at += count)
            {
                // Whoever owns it may write on.
                if (at + count > MaximumBytes)
                    throw new UsageException($"kernel add: a kernel of more than {MaximumBytes >> 30} GiB is none");
                to.Write(buffer.AsSpan(0, count));
            }

            to.Flush(flushToDisk: true);
        }

        var found = new KernelModules(modules);
        foreach (string name in AgentInitramfs.ModuleNames)
            found.TryAdd(name);
        foreach ((string name, byte[] content) in found.Loading)
            Write(Path.Combine(kept, name), content);
        if (found.BuiltInList is byte[] list)
            Write(Path.Combine(kept, KernelModules.BuiltInName), list);
    }

    /// <summary>To the disk: a kernel that has its name is whole, even if the host fails right then.</summary>
    static void Write(string path, byte[] content)
    {
        using FileStream file = File.Create(path);
        file.Write(content);
        file.Flush(flushToDisk: true);
    }

    static bool IsName(string name) =>
        name.Length is > 0 and <= MaximumName
            && char.IsAsciiLetterOrDigit(name[0])
            && !name.EndsWith(UnfinishedEnd, StringComparison.Ordinal)
        && name.All(static letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '+' or '-');
}
