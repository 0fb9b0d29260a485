using Sandbox.Vmm.Personality.Processes;

namespace Sandbox.Vmm.Personality;

public sealed partial class GuestThread
{
    /// <summary>Set by the maker of the thread, used once.</summary>
    internal InitialState? InitialState { get; set; }

    internal FutexWaiter FutexWaiter => _futexWaiter ??= new(this);

    private FutexWaiter? _futexWaiter;

    private void LoadInitialState()
    {
        if (InitialState is not { } state)
            throw new InvalidOperationException("a guest thread has no initial state");
        InitialState = null;
        // A processor that another thread gave back holds that thread's state.
        Cpu.ResetForExec();
        Cpu.Registers = state.Registers;
        // An entry point in the kernel's half must fault, not run.
        if (state.Registers.Rip >= UserAddressEnd)
            SetWork(ThreadWork.Signal);
        Cpu.FsBase = state.FsBase;
        Cpu.GsBase = state.GsBase;
        if (state.Extended is not null && !Cpu.TryLoadExtendedState(state.Extended))
            throw new InvalidOperationException("a virtual CPU refuses the extended state of another");
    }

    /// <summary>The registers that execve gives a new program.</summary>
    internal static InitialState StateFor(ulong entryPoint, ulong stackPointer) => new()
    {
        Registers = new() { Rip = entryPoint, Rsp = stackPointer, Rflags = InitialFlags },
    };

    /// <summary>execve: the thread goes on with the first instruction of a new program.</summary>
    internal void EnterProgram(Loader.LoadedProgram program)
    {
        InitialState = StateFor(program.EntryPoint, program.StackPointer);
        LoadInitialState();
    }

    /// <summary>Interrupts on, and the bit that is always set.</summary>
    private const ulong InitialFlags = 0x202;
}
