using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality;

// What fork(2) copies beyond memory, descriptors and handlers.
public sealed partial class Process
{
    internal void InheritFrom(Process parent)
    {
        Credentials = parent.Credentials;
        Limits = parent.Limits.Copy();
        ArgumentArea = parent.ArgumentArea;
        EnvironmentArea = parent.EnvironmentArea;
        AuxiliaryVector = parent.AuxiliaryVector;
        Program = parent.Program;
        Dumpable = parent.Dumpable;
        NoNewPrivileges = parent.NoNewPrivileges;
        PersonalityFlags = parent.PersonalityFlags;
        if (parent.ExecutableFile is { } file && file.TryAcquire())
            ExecutableFile = file;
    }

    internal void StartResourceLimits()
    {
        if (Limits.Soft(RLIMIT_CPU) != ResourceLimits.Infinity)
            CpuLimit.Update();
    }

    /// <summary>unshare(CLONE_FILES) and execve: a descriptor table that no other process sees.</summary>
    internal void UnshareDescriptors()
    {
        if (!Descriptors.IsShared)
            return;
        Files.DescriptorTable shared = Descriptors;
        Descriptors = shared.Copy();
        shared.Release(this);
    }
}
