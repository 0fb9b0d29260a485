namespace Sandbox.Vmm.Personality.Files;

/// <summary>Working directory, root directory and umask of a process (CLONE_FS shares it).</summary>
public sealed partial class FileSystemContext
{
}
