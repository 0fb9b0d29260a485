using Sandbox.Policy.Language;

namespace Sandbox.Supervisor.Machine;

/// <summary>Where a kernel's modules are.</summary>
static class ModulesFolder
{
    /// <summary>
    /// Beside the kernel as its package has it, whether installed, unpacked or kept; else the host's.
    /// </summary>
    /// <param name="version">The kernel's own word.</param>
    /// <exception cref="UsageException">It is a link, which may lead anywhere: nobody has named it.</exception>
    public static string Of(string version, string kernel)
    {
        string beside =
            Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(kernel))!, "../lib/modules", version));
        string folder = Directory.Exists(beside) ? beside : $"/lib/modules/{version}";
        return new DirectoryInfo(folder).LinkTarget is null ? folder : throw new UsageException(
            $"{Quote.Value(folder)} is a link, which is not followed; put the modules there, or let run --modules name their folder");
    }
}
