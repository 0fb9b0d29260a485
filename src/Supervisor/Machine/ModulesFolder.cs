namespace Sandbox.Supervisor.Machine;

/// <summary>Where a kernel's modules are.</summary>
static class ModulesFolder
{
    /// <summary>
    /// Beside the kernel as its package has it, whether installed, unpacked or kept; else the host's.
    /// </summary>
    /// <param name="version">The kernel's own word.</param>
    public static string Of(string version, string kernel)
    {
        string beside =
            Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(kernel))!, "../lib/modules", version));
        return Directory.Exists(beside) ? beside : $"/lib/modules/{version}";
    }
}
