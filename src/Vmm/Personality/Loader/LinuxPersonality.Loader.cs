using Sandbox.Vmm.Personality.Loader;

namespace Sandbox.Vmm.Personality;

public sealed partial class LinuxPersonality
{
    private ProgramLoader? _loader;
    private Vdso? _vdso;

    /// <summary>Loads programs, once <see cref="TryInitializeLoader"/> has worked.</summary>
    public ProgramLoader Loader => _loader ?? throw new InvalidOperationException("the loader is not set up yet");

    /// <summary>The vDSO of all processes.</summary>
    internal Vdso Vdso => _vdso ?? throw new InvalidOperationException("the loader is not set up yet");

    /// <summary>Makes the vDSO's pages. False when the guest's memory limit has no room for them.</summary>
    internal bool TryInitializeLoader(LoaderOptions options)
    {
        _vdso = Vdso.Create(Memory);
        if (_vdso is null)
            return false;
        _vdso.Page.SetCpuSource(CpuCount == 1 ? VvarLayout.CpuAlwaysZero : VvarLayout.CpuFromSegment, CpuCount);
        _loader = new ProgramLoader(Memory, _vdso, options);
        return true;
    }
}
