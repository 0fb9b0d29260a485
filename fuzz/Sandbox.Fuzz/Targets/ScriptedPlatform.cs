using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality;
using Sandbox.Vmm.Personality.Signals;
using Sandbox.Vmm.Platforms;
using static Sandbox.Host.Libc;

namespace Sandbox.Fuzz.Targets;

/// <summary>A platform without processors: a guest thread's "code" makes the calls that a script says.</summary>
/// <param name="scriptOf">The script of the first thread (0), the second, and so on; null ends a thread at
/// once.</param>
/// <param name="waker">Learns of each thread; null where threads never wait.</param>
sealed class ScriptedPlatform(Func<int, Func<ScriptedCpu, GuestExit>?> scriptOf, Waker? waker) : IPlatform
{
    private int _rented;
    private int _made;

    public int Rented => Volatile.Read(ref _rented);

    public VirtualCpu RentCpu()
    {
        Interlocked.Increment(ref _rented);
        return new ScriptedCpu(scriptOf(Interlocked.Increment(ref _made) - 1), waker);
    }

    public void ReturnCpu(VirtualCpu cpu) => Interlocked.Decrement(ref _rented);

    public void Dispose()
    {
    }
}

sealed class ScriptedCpu(Func<ScriptedCpu, GuestExit>? script, Waker? waker) : VirtualCpu
{
    /// <summary>x87 and SSE.</summary>
    public const ulong Components = 3;

    /// <summary>
    /// AC, ID and the arithmetic flags are the program's; IF and bit 1 are set; the rest is the kernel's.
    /// </summary>
    private const ulong UserFlags = 0x0024_4dd5, FixedFlags = 0x202, ResumeFlag = 0x1_0000;

    private readonly StrongBox<GuestRegisters> _registers = new();
    private readonly byte[] _extended = new byte[ExtendedStateSize];

    public override ref GuestRegisters Registers => ref _registers.Value;

    public override ulong FsBase { get; set; }

    public override ulong GsBase { get; set; }

    public override ulong ExtendedStateComponents => Components;

    /// <summary>A waiting call waits until the waker comes, and not only until it looks for signals first.</summary>
    public bool IsPatient { get; set; }

    public override void Attach(AddressSpace memory)
    {
    }

    public override void Interrupt()
    {
    }

    public override void SaveExtendedState(Span<byte> state) => _extended.CopyTo(state);

    /// <summary>
    /// As XRSTOR: what it would fault on must not have come this far, but for MXCSR, which is its business.
    /// </summary>
    public override bool TryLoadExtendedState(ReadOnlySpan<byte> state)
    {
        OracleException.Check(state.Length == ExtendedStateSize, "an extended state of another size");
        ReadOnlySpan<byte> header = state.Slice(ExtendedState.LegacySize, ExtendedState.HeaderSize);
        ulong present = BinaryPrimitives.ReadUInt64LittleEndian(header);
        OracleException.Check((present & ~Components) == 0, "components that the processor does not have");
        OracleException.Check(!header[sizeof(ulong)..].ContainsAnyExcept((byte)0),
            "reserved bytes of the XSAVE header");
        if ((BinaryPrimitives.ReadUInt32LittleEndian(state[ExtendedState.MxcsrOffset..]) & ~0xffffu) != 0)
            return false;
        state.CopyTo(_extended);
        return true;
    }

    public override void ResetForExec()
    {
        Registers = default;
        Registers.Rflags = FixedFlags;
    }

    public override GuestExit Run()
    {
        OracleException.Check((Registers.Rflags & ~(UserFlags | ResumeFlag | FixedFlags)) == 0,
            "flags that are not the program's");
        // Fetching from there faults, as on the real platform.
        if (Registers.Rip >= PageTable.UserLimit)
        {
            ulong at = Registers.Rip;
            Registers.Rip = CallScript.Code;
            return new GuestExit(GuestExitKind.PageFault, at, 0x14, 14);
        }
        if (script is null)
        {
            Registers.Rax = SYS_exit;
            Registers.Rdi = 0;
            return new GuestExit(GuestExitKind.SystemCall);
        }
        if (GuestThread.Current is { } thread)
            waker?.Watch(thread);
        IsPatient = false;
        GuestExit exit = script(this);
        // To a call that would wait it looks as if a signal had come: most scripts have nobody who would wake it.
        if (exit.Kind == GuestExitKind.SystemCall && !IsPatient)
            GuestThread.Current!.SetWork(ThreadWork.Signal);
        return exit;
    }

    public override void Dispose()
    {
    }
}
