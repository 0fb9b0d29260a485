using System.Runtime.CompilerServices;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// A platform without processors. The first guest thread's "code" makes the calls that a script says; all others end
/// at once.
/// </summary>
sealed class ScriptedPlatform(Func<VirtualCpu, GuestExit> script) : IPlatform
{
    private int _rented;
    private int _made;

    public int Rented => Volatile.Read(ref _rented);

    /// <summary>The thread that runs the script, once it exists.</summary>
    public GuestThread? Main { get; set; }

    public VirtualCpu RentCpu()
    {
        Interlocked.Increment(ref _rented);
        bool isFirst = Interlocked.Increment(ref _made) == 1;
        return new ScriptedCpu(this, isFirst ? script : null);
    }

    public void ReturnCpu(VirtualCpu cpu) => Interlocked.Decrement(ref _rented);

    public void Dispose()
    {
    }
}

sealed class ScriptedCpu(ScriptedPlatform platform, Func<VirtualCpu, GuestExit>? script) : VirtualCpu
{
    private readonly StrongBox<GuestRegisters> _registers = new();
    private readonly byte[] _extended = new byte[ExtendedStateSize];

    public override ref GuestRegisters Registers => ref _registers.Value;

    public override ulong FsBase { get; set; }

    public override ulong GsBase { get; set; }

    /// <summary>x87 and SSE.</summary>
    public override ulong ExtendedStateComponents => 3;

    public override void Attach(AddressSpace memory)
    {
    }

    public override void Interrupt()
    {
    }

    public override void SaveExtendedState(Span<byte> state) => _extended.CopyTo(state);

    public override bool TryLoadExtendedState(ReadOnlySpan<byte> state)
    {
        state.CopyTo(_extended);
        return true;
    }

    public override void ResetForExec() => Registers = default;

    public override GuestExit Run()
    {
        if (script is null)
        {
            Registers.Rax = SYS_exit;
            Registers.Rdi = 0;
            return new GuestExit(GuestExitKind.SystemCall);
        }
        GuestExit exit = script(this);
        // Nobody else is there to wake a call that waits: to the call it looks as if a signal had come.
        if (exit.Kind == GuestExitKind.SystemCall)
            platform.Main!.SetWork(ThreadWork.Signal);
        return exit;
    }

    public override void Dispose()
    {
    }
}
