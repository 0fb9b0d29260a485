using Sandbox.Policy.Contract;
using Sandbox.Vmm.Personality.Ipc;
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

    private KernelMemory? _argumentMemory;

    /// <summary>
    /// What the VMM may hold of the arguments of all loads under way. Not <see cref="KernelMemory"/>: a guest whose
    /// pipes are full can still start programs, and the other way round.
    /// </summary>
    internal KernelMemory ArgumentMemory =>
        _argumentMemory ?? Interlocked.CompareExchange(ref _argumentMemory, BudgetForArguments(Plan.Limits), null)
        ?? _argumentMemory;

    /// <summary>
    /// A quarter of the guest's memory, but 24 MiB, which the longest command line of all takes, to 64 MiB: a dozen at
    /// once of the longest that make and xargs put together, each twice, as a list and on the stack.
    /// </summary>
    private static KernelMemory BudgetForArguments(GuestLimits limits) =>
        new((long)Math.Clamp(limits.MemoryBytes / 4, 24UL << 20, 64UL << 20));

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
