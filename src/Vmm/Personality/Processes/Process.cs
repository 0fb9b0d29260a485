using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.Files;

namespace Sandbox.Vmm.Personality;

/// <summary>A thread group: what getpid(2) names, and what its threads share.</summary>
public sealed partial class Process(LinuxPersonality personality, int pid)
{
    public LinuxPersonality Personality { get; } = personality;

    public int Pid { get; } = pid;

    /// <summary>Replaced by execve; read it once per call.</summary>
    public AddressSpace Memory { get; internal set; } = null!;

    public DescriptorTable Descriptors { get; internal set; } = null!;

    /// <summary>Working directory, root and umask.</summary>
    public FileSystemContext FileSystem { get; internal set; } = null!;

    public Credentials Credentials { get; internal set; } = null!;

    public ResourceLimits Limits { get; internal set; } = new();
}
