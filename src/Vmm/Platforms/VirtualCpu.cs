using System.Runtime.InteropServices;
using Sandbox.Vmm.Memory;

namespace Sandbox.Vmm.Platforms;

/// <summary>Why guest code stopped running.</summary>
public enum GuestExitKind
{
    /// <summary>SYSCALL: the number is in RAX, RIP is already behind the instruction.</summary>
    SystemCall,
    /// <summary>
    /// SYSCALL, and <see cref="CallExchange.Result"/> of <see cref="VirtualCpu.Exchange"/> is what came of it.
    /// </summary>
    ServedCall,
    /// <summary>A page fault at <see cref="GuestExit.FaultAddress"/>.</summary>
    PageFault,
    /// <summary>Another exception; RIP is at the instruction (behind it for traps).</summary>
    Exception,
    /// <summary>The host could not supply the page behind a mapping (a file became shorter): SIGBUS.</summary>
    BackingLost,
    /// <summary><see cref="VirtualCpu.Interrupt"/> was called.</summary>
    Interrupted,
    /// <summary>
    /// The platform cannot run this guest any further; the message is in <see cref="VirtualCpu.FailureDetail"/>.
    /// </summary>
    Failed,
}

public readonly struct GuestExit(GuestExitKind kind, ulong faultAddress = 0, uint errorCode = 0, int vector = 0)
{
    public readonly GuestExitKind Kind = kind;
    public readonly int Vector = vector;
    public readonly uint ErrorCode = errorCode;
    private readonly ulong _faultAddress = faultAddress;

    public VirtualAddress FaultAddress => new(_faultAddress);
}

/// <summary>The user-visible general registers, in the order of struct kvm_regs.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GuestRegisters
{
    public ulong Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rsp, Rbp;
    public ulong R8, R9, R10, R11, R12, R13, R14, R15;
    public ulong Rip, Rflags;
}

/// <summary>
/// One guest thread's processor. Owned by one host thread; only <see cref="Interrupt"/> may be called from others.
/// Between two runs <see cref="Registers"/> is exactly what the user program will see: how the platform got out of
/// user mode, and how it goes back, stays inside the platform.
/// </summary>
public abstract class VirtualCpu : IDisposable
{
    public const int ExtendedStateSize = 4096;

    /// <summary>The user program's registers; write to change what it continues with.</summary>
    public abstract ref GuestRegisters Registers { get; }

    public abstract ulong FsBase { get; set; }

    public abstract ulong GsBase { get; set; }

    /// <summary>The address space that the next <see cref="Run"/> uses.</summary>
    public abstract void Attach(AddressSpace memory);

    /// <summary>Runs user code until something must be served. Never throws for anything a guest can cause.</summary>
    public abstract GuestExit Run();

    /// <summary>
    /// Makes the current or the next <see cref="Run"/> return <see cref="GuestExitKind.Interrupted"/>. From any thread.
    /// </summary>
    public abstract void Interrupt();

    /// <summary>
    /// x87, SSE, AVX... state in XSAVE standard format (legacy area, header, components), 4096 bytes.
    /// </summary>
    public abstract void SaveExtendedState(Span<byte> state);

    /// <summary>False when the bytes are not a state this processor accepts; nothing has changed then.</summary>
    public abstract bool TryLoadExtendedState(ReadOnlySpan<byte> state);

    /// <summary>XCR0: which components of the extended state are enabled.</summary>
    public abstract ulong ExtendedStateComponents { get; }

    /// <summary>Resets registers, segment bases and extended state to what execve(2) gives a new program.</summary>
    public abstract void ResetForExec();

    /// <summary>
    /// Makes every processor of the machine notice page-table entries that the VMM has changed. Called by the address
    /// space with its lock held, on the processor's own thread, between two runs.
    /// </summary>
    /// <returns>False when the platform failed; see <see cref="FailureDetail"/>.</returns>
    public virtual bool RewriteEntries(PageTableEdits edits) => true;

    /// <summary>
    /// The state of <see cref="AddressSpace.Generation"/> that this processor's translations are not older than.
    /// </summary>
    public virtual long SeenGeneration { get; set; }

    /// <summary>Whether user code may be running on this processor right now.</summary>
    public virtual bool IsRunningGuestCode => false;

    /// <summary>Where calls are handed over in the present address space; null until it is opened.</summary>
    public virtual CallExchange? Exchange => null;

    /// <summary>
    /// Lets calls be handed over from the next <see cref="Run"/> on, until another address space is attached.
    /// </summary>
    /// <returns>False where the platform has no such way, or the guest's memory no room for it.</returns>
    public virtual bool TryOpenExchange() => false;

    /// <summary>What went wrong, after <see cref="GuestExitKind.Failed"/>: one line for the operator.</summary>
    public string FailureDetail { get; protected set; } = "";

    public abstract void Dispose();
}

/// <summary>What runs guest code: KVM, or nothing but the host's own processes (lite).</summary>
public interface IPlatform : IDisposable
{
    /// <summary>A processor for a new guest thread; may be one that an ended thread gave back.</summary>
    VirtualCpu RentCpu();

    void ReturnCpu(VirtualCpu cpu);

    /// <summary>
    /// Whether its processors have a <see cref="CallExchange"/>: leaving the guest is what costs here.
    /// </summary>
    bool HandsOver => false;
}
