using System.Text;
using System.Text.Json;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.Machine;

namespace Sandbox.Supervisor.Kernels;

/// <summary>What is to be said of one kernel.</summary>
/// <param name="Path">As the caller wrote it, or where it was found.</param>
/// <param name="Name">What --kernel may call it instead; null for a file.</param>
/// <param name="Modules">The folder of its modules; null when there is none, or none that can be read.</param>
/// <param name="Needed">The modules that guests with --root need, with where the kernel has them.</param>
sealed record KernelReport(
    string Path, string? Name, KernelFile Kernel, string? Modules,
    IReadOnlyList<(string Name, ModuleState State)> Needed)
{
    /// <summary>No guest can start from it.</summary>
    public bool IsWrong => Kernel.Problem is not null;

    /// <summary>A guest can start from it, and a program in an image, too, whatever the image.</summary>
    public bool IsGood => !IsWrong && Modules is not null && Needed.All(module => module.State != ModuleState.Missing);

    /// <exception cref="HostException">It cannot be read.</exception>
    public static KernelReport Of(string path, string? name, FileDescriptor file)
    {
        KernelFile kernel = KernelFile.Examine(file);
        string? folder = kernel.Version is null ? null : ModulesFolder.Of(kernel.Version, path);
        if (kernel.Problem is not null || folder is null || !Directory.Exists(folder))
            return new KernelReport(path, name, kernel, null, []);
        var modules = new KernelModules(folder);
        return new KernelReport(
            path, name, kernel, folder,
            [.. AgentInitramfs.ModuleNames.Select(module => (module, modules.StateOf(module)))]);
    }

    public string Human()
    {
        var text = new StringBuilder();
        text.Append(Quote.Printable(Path)).Append(": ");
        if (Kernel.Problem is string problem)
            return text.Append(problem).Append('\n').ToString();
        text.Append(Kernel.Format == KernelFormat.Elf ? "ELF with a PVH entry, " : "bzImage with a 64-bit entry, ");
        text.Append(Kernel.Version is null ? "does not say which version" : $"Linux {Kernel.Version}")
            .Append("\n  modules: ");
        text.Append(Modules is null ? "not found; --modules names their folder" : Quote.Printable(Modules))
            .Append('\n');
        foreach ((string name, ModuleState state) in Needed)
            text.Append("  ").Append(name.PadRight(18)).Append(Word(state)).Append('\n');
        return text.ToString();
    }

    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("path", Path);
        if (Name is not null)
            json.WriteString("name", Name);
        json.WriteString("format", Kernel.Format switch
            { KernelFormat.BzImage => "bzImage", KernelFormat.Elf => "elf", _ => "none" });
        json.WriteString("version", Kernel.Version);
        json.WriteBoolean("boots", !IsWrong);
        json.WriteString("problem", Kernel.Problem);
        json.WriteString("modulesFolder", Modules);
        json.WriteStartObject("modules");
        foreach ((string name, ModuleState state) in Needed)
            json.WriteString(name, Word(state));
        json.WriteEndObject();
        json.WriteBoolean("good", IsGood);
        json.WriteEndObject();
    }

    static string Word(ModuleState state) => state switch
    {
        ModuleState.Module => "module",
        ModuleState.BuiltIn => "built in",
        _ => "missing",
    };
}
